from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.app import LoopEnded, build_gateway
from gateway.clock import ManualClock
from gateway.config import GatewayConfig, HandlerStreamUnknown, StreamConfig
from gateway.errors import DocumentInvalid, StoreInUse
from gateway.functions import FunctionSpec
from gateway.server import AddressUnavailable, ListenerOptions, ServerOptions
from gateway.store import StoreOptions, StreamSpec, open_store
from tests.harness.raw_client import connected
from tests.harness.waiting import until

HOT = """\
version: 1
rules:
  - id: hot
    from: plant/#
    when: payload.value > 90
"""


@pytest.fixture
def config(tmp_path):
    """Make a configuration on a folder of its own and a free port."""

    def make(**fields):
        server = ServerOptions(listeners=(ListenerOptions(port=0),))
        return replace(GatewayConfig(data_dir=tmp_path / "log", server=server), **fields)

    return make


@pytest.fixture
def rules(tmp_path):
    """Write a rule file."""

    def write(text=HOT):
        path = tmp_path / "rules.yaml"
        path.write_text(text)
        return path

    return write


@asynccontextmanager
async def running(gateway):
    """Start a gateway; gives its port, and stops it."""
    try:
        ((_, port),) = await gateway.start()
        yield port
    finally:
        await gateway.stop()


async def publish(port, topic, *payloads):
    """Publish from a client of its own, and return when everything is acknowledged."""

    def work():
        with connected(port) as client:
            for number, payload in enumerate(payloads, 1):
                client.publish(topic, payload, packet_id=number)
            return client.read_acks(len(payloads))

    assert await asyncio.to_thread(work) == list(range(1, len(payloads) + 1))


async def stored(data_dir, stream="telemetry"):
    """What a stream on disk holds, when no gateway runs."""
    store = await open_store(StoreOptions(data_dir), ManualClock())
    try:
        extents = await store.extents(stream)
        chunks = [await store.fetch(stream, one.partition, one.log_start_offset) for one in extents]
    finally:
        await store.close()
    records = [record for chunk in chunks for batch in chunk.batches for record in batch.records()]
    return [(record.topic, record.payload) for record in records]


async def test_what_is_acknowledged_is_on_disk_after_a_stop(config):
    settings = config()
    async with running(build_gateway(settings)) as port:
        await publish(port, "plant/pump-7/t", b"1", b"2")
    assert await stored(settings.data_dir) == [("plant/pump-7/t", b"1"), ("plant/pump-7/t", b"2")]


async def test_a_gateway_goes_on_with_what_an_earlier_one_has_stored(config):
    settings = config()
    for payload in (b"1", b"2"):
        async with running(build_gateway(settings)) as port:
            await publish(port, "plant/pump-7/t", payload)
    assert [payload for _, payload in await stored(settings.data_dir)] == [b"1", b"2"]


async def test_a_subscriber_hears_a_publisher(config):
    async with running(build_gateway(config())) as port:

        def exchange():
            with connected(port, "s") as subscriber, connected(port, "p") as publisher:
                subscriber.subscribe(("plant/#", 1))
                publisher.publish("plant/d/t", b"1", packet_id=1)
                return subscriber.collect(1)

        (delivery,) = await asyncio.to_thread(exchange)
    assert (delivery.topic, delivery.payload) == ("plant/d/t", b"1")


@pytest.mark.parametrize("place", ["inline", "process"])
async def test_rules_see_what_is_published_and_their_alerts_are_stored(config, rules, place):
    settings = config(rules_path=rules(), rules_place=place)
    gateway = build_gateway(settings)
    async with running(gateway) as port:

        def watch():
            with connected(port, "watch") as client:
                client.subscribe(("alerts/#", 1))
                with connected(port, "p") as publisher:
                    publisher.publish("plant/d/t", b'{"value": 91}', packet_id=1)
                return client.collect(1)

        (alert,) = await asyncio.to_thread(watch)
    assert alert.topic.startswith("alerts/hot/")
    assert [topic for topic, _ in await stored(settings.data_dir, "alerts")] == [alert.topic]


CHAIN = """\
version: 1
rules:
  - {id: double, from: plant/#, let: {twice: payload.value * 2}, emit: {stream: doubles}}
  - {id: much, from: rule:double, when: payload.twice > 90}
"""


async def test_what_a_rule_emits_is_heard_by_subscribers_and_by_rules(config, rules):
    settings = config(rules_path=rules(CHAIN))
    async with running(build_gateway(settings)) as port:

        def watch():
            with connected(port, "watch") as client:
                client.subscribe(("derived/doubles/#", 1), ("alerts/#", 1))
                with connected(port, "p") as publisher:
                    publisher.publish("plant/pump-7/t", b'{"value": 50}', packet_id=1)
                return client.collect(2)

        record, alert = await asyncio.to_thread(watch)
    assert (record.topic, alert.topic) == ("derived/doubles/pump-7", "alerts/much/pump-7")
    assert json.loads(record.payload)["twice"] == 100
    ((topic, _),) = await stored(settings.data_dir, "doubles")
    assert topic == "derived/doubles/pump-7"
    ((topic, _),) = await stored(settings.data_dir, "alerts")
    assert topic == "alerts/much/pump-7"


async def test_on_reload_changed_rules_go_on_where_the_others_stood(config, rules):
    settings = config(rules_path=rules(), rules_reload_ms=0, rules_place="inline")
    gateway = build_gateway(settings)
    async with running(gateway) as port:
        await until(lambda: gateway._rules.evaluation is not None, "the rules to start")
        evaluation = gateway._rules.evaluation
        rules(HOT.replace("> 90", "> 40"))
        gateway.reload()
        await until(lambda: "40" in evaluation.rules.rules[0].condition.when.text, "it")

        def watch():
            with connected(port, "watch") as client:
                client.subscribe(("alerts/#", 1))
                with connected(port, "p") as publisher:
                    publisher.publish("plant/pump-7/t", b'{"value": 50}', packet_id=1)
                return client.collect(1)

        (alert,) = await asyncio.to_thread(watch)
    assert alert.topic == "alerts/hot/pump-7"
    assert len(await stored(settings.data_dir, "alerts")) == 1


@pytest.mark.parametrize("place", ["inline", "process"])
async def test_a_stream_that_takes_topics_can_t_be_emitted(config, rules, place):
    text = CHAIN.replace("stream: doubles", "stream: numbers")
    stream = StreamConfig(StreamSpec("numbers"), ("n/#",))
    settings = config(rules_path=rules(text), streams=(stream,), rules_place=place)
    await assert_refused(settings, "the stream 'numbers' takes topics, too")


@pytest.mark.parametrize("place", ["inline", "process"])
async def test_wrong_rules_are_refused_before_anything_is_opened(config, rules, place):
    settings = config(rules_path=rules(HOT.replace("when:", "wehn:")), rules_place=place)
    await assert_refused(settings, r"rules\.yaml:5:\d+: .*wehn")
    assert not settings.data_dir.exists()


async def assert_refused(settings, why):
    """See that a gateway doesn't start, and why; nothing of it stays behind."""
    gateway = build_gateway(settings)
    with pytest.raises(DocumentInvalid, match=why):
        await gateway.start()
    await gateway.stop()
    assert gateway._rules.pid == 0


async def test_a_handler_of_a_stream_that_no_rule_emits_is_refused(config, rules, tmp_path):
    spec = FunctionSpec("h", "own:f", tmp_path, "#", stream="doublse")
    gateway = build_gateway(config(rules_path=rules(CHAIN), handlers=(spec,)))
    with pytest.raises(HandlerStreamUnknown, match="did you mean 'doubles'"):
        await gateway.start()
    await gateway.stop()


async def test_one_data_directory_has_one_gateway(config):
    settings = config()
    async with running(build_gateway(settings)):
        second = build_gateway(settings)
        with pytest.raises(StoreInUse):
            await second.start()
        await second.stop()


async def test_a_port_in_use_leaves_nothing_behind(config, tmp_path):
    async with running(build_gateway(config())) as port:
        server = ServerOptions(listeners=(ListenerOptions(port=port),))
        settings = config(data_dir=tmp_path / "other", server=server)
        second = build_gateway(settings)
        with pytest.raises(AddressUnavailable):
            await second.start()
        await second.stop()
    async with running(build_gateway(replace(settings, server=config().server))) as port:
        await publish(port, "t", b"1")


async def test_it_says_where_it_listens(config):
    gateway = build_gateway(config())
    assert list(gateway.listeners) == []
    gateway.reload()
    async with running(gateway) as port:
        gateway.reload()
        assert gateway.listeners == [f"127.0.0.1:{port} (MQTT, anonymous, this machine only)"]


async def test_a_run_ends_when_it_is_told_to(config):
    stop, ready = asyncio.Event(), []
    running_on = asyncio.ensure_future(build_gateway(config()).run(ready.append, stop))
    await until(lambda: ready, "the gateway")
    ((_, port),) = ready.pop()
    await publish(port, "t", b"1")
    stop.set()
    await running_on
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize("name", ["fan-out", "sweep", "retention", "rules"])
async def test_a_part_that_fails_stops_the_gateway(config, rules, name):
    settings = config(rules_path=rules())
    gateway, ready = build_gateway(settings), []
    running_on = asyncio.ensure_future(gateway.run(ready.append, asyncio.Event()))
    await until(lambda: ready, "the gateway")
    await publish(ready[0][0][1], "plant/d/t", b'{"value": 1}')
    (task,) = (one for one in asyncio.all_tasks() if one.get_name() == name)
    task.cancel()
    with pytest.raises(LoopEnded, match=f"'{name}' ended"):
        await running_on
    assert len(await stored(settings.data_dir)) == 1


async def test_the_error_of_a_part_that_failed_is_told(config, monkeypatch):
    gateway = build_gateway(config())

    def ready(_):
        monkeypatch.setattr(gateway._server.hub, "sweep", lambda: 1 // 0)

    with pytest.raises(LoopEnded, match="'sweep' ended: ZeroDivisionError") as caught:
        await gateway.run(ready, asyncio.Event())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_handlers_begin_with_what_comes_and_are_read_again_on_reload(config, tmp_path):
    module = tmp_path / "own_of_app.py"
    module.write_text("def f(event):\n    return 'out/x', event.payload\n")
    spec = FunctionSpec("h", "own_of_app:f", tmp_path, "plant/#")
    settings = config(handlers=(spec,))
    gateway = build_gateway(settings)
    async with running(gateway) as port:
        await publish(port, "plant/pump-7/t", b"1")
        (loop,) = gateway._crew.loops
        await until(lambda: loop.tally.done == 1, "the first to be done")
        module.write_text("def f(event):\n    return 'out/x', 'new'\n")
        before = loop.version
        gateway.reload()
        await until(lambda: loop.version != before, "the new function")
        await publish(port, "plant/pump-7/t", b"2")
        await until(lambda: loop.tally.done == 2, "the second to be done")
        figures = (await gateway._server.readings.take()).others
        assert figures["handlers/done"] == 2
    found = [payload for topic, payload in await stored(settings.data_dir) if topic == "out/x"]
    assert found == [b"1", b"new"]
