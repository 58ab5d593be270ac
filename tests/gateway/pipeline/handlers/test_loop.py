import orjson
import pytest

from gateway.errors import StoreUnavailable
from gateway.mqtt import decode_publish_properties
from gateway.pipeline.handlers import loop as loops
from tests.gateway.pipeline.handlers.conftest import records, run_of
from tests.harness.waiting import until


def notes(folder):
    path = folder / "notes"
    return path.read_text().split() if path.exists() else []


async def test_what_a_function_returns_is_stored_with_an_id_of_its_cause(shop, store, spec_of):
    await store.append([run_of("t1", b'{"cm":1}', b'{"cm":2}')])
    async with shop.at_work(spec_of("echo", topic_filter="plant/#")) as loop:
        await until(lambda: loop.tally.done == 2, "two events to be done")
    echoed = await records(store, topic="echo/")
    assert [one.payload for one in echoed] == [b'{"cm":1}', b'{"cm":2}']
    assert {one.client for one in echoed} == {"$handler:h"}
    ids = [decode_publish_properties(one.properties).user_properties for one in echoed]
    assert ids == [(("penstock-id", f"telemetry/0/{n}/h/0"),) for n in (0, 1)]


async def test_a_handler_is_not_given_what_it_has_published(shop, store, spec_of):
    await store.append([run_of("t1", b"1")])
    async with shop.at_work(spec_of("echo")) as loop:
        await until(lambda: loop.tally.done == 1, "the event to be done")
        await store.append([run_of("t2", b"2")])
        await until(lambda: loop.tally.done == 2, "the other to be done")
    assert len(await records(store, topic="echo/")) == 2


async def test_only_what_the_filter_and_the_condition_take_is_worked_on(shop, store, spec_of):
    await store.append([run_of("t1", b'{"cm":1}', b'{"cm":9}', b"no json"), run_of("t2", b"{}")])
    spec = spec_of("echo", topic_filter="plant/t1/#", where="payload.cm > 5")
    async with shop.at_work(spec) as loop:
        await until(lambda: loop.tally.done == 1, "the event to be done")
    assert [one.payload for one in await records(store, topic="echo/")] == [b'{"cm":9}']


async def test_a_record_that_keeps_failing_is_a_dead_letter_with_its_traceback(
    shop, store, spec_of, folder
):
    await store.append([run_of("t1", b'"bad"', b'"flaky"')])
    async with shop.at_work(spec_of("note")) as loop:
        await until(lambda: loop.tally.done == 1, "the second to be done")
    assert notes(folder) == ["t1:0:1", "t1:0:2", "t1:1:1", "t1:1:2"]
    (letter,) = [orjson.loads(one.payload) for one in await records(store, "dead-letters")]
    assert letter["cause"].startswith("Traceback")
    assert letter["cause"].endswith("ValueError: bad payload")
    assert letter["failed_by"] == f"h {loop.version}"
    assert letter["deliveries"] == 2
    assert (loop.tally.failed, loop.tally.dead_lettered) == (3, 1)


@pytest.mark.parametrize(
    ("payload", "cause", "settings"),
    [
        (b'"loop"', "killed: it took longer than 0.3 s", {"time_limit_ms": 300}),
        (b'"exit"', "exit code 7", {}),
        (b'"hog"', "MemoryError", {"memory_bytes_max": 1 << 30}),
    ],
)
async def test_a_function_that_hangs_dies_or_hogs_holds_up_nobody_else(
    shop, store, spec_of, payload, cause, settings
):
    await store.append([run_of("t1", payload, b"1"), run_of("t2", b"2")])
    async with shop.at_work(spec_of("note", tries_max=1, **settings)) as loop:
        await until(lambda: loop.tally.done == 2, "the others to be done")
    (letter,) = [orjson.loads(one.payload) for one in await records(store, "dead-letters")]
    assert cause in letter["cause"]


async def test_a_device_has_its_events_in_order_and_others_go_on(shop, store, spec_of, folder):
    runs = [run_of(f"t{n % 4}", b'"flaky"' if n % 3 == 0 else b"1") for n in range(24)]
    await store.append(runs)
    async with shop.at_work(spec_of("note", concurrency=3, tries_max=3)) as loop:
        await until(lambda: loop.tally.done == 24, "everything to be done")
    for device in range(4):
        own = [one.split(":") for one in notes(folder) if one.startswith(f"t{device}:")]
        tried = [(int(offset), int(attempt)) for _, offset, attempt in own]
        assert tried == sorted(tried)


async def test_no_more_than_so_many_records_are_in_flight(shop, store, spec_of):
    await store.append([run_of("t1", *[b"1"] * 50)])
    async with shop.at_work(spec_of("slow", in_flight_max=5)) as loop:
        seen = set()
        await until(lambda: seen.add(loop.in_flight) or loop.tally.done == 50, "all to be done")
    assert max(seen) == 5
    assert len(await records(store, topic="echo/")) == 50


async def test_after_a_stop_the_next_life_goes_on_where_this_one_was(shop, store, spec_of):
    await store.append([run_of("t1", *[b"1"] * 40)])
    spec = spec_of("slow", in_flight_max=8)
    async with shop.at_work(spec) as loop:
        await until(lambda: loop.tally.done >= 5, "some to be done")
    shop.restart()
    async with shop.at_work(spec):
        await until(lambda: _is_read(shop, 40), "the rest to be done")
    assert len(await records(store, topic="echo/")) == 40


def _is_read(shop, offset):
    known = shop.desk._offsets.get("handler:h", {})
    return known.get(("telemetry", 0)) == offset


async def test_a_function_that_cannot_be_loaded_costs_nothing_but_time(
    shop, store, spec_of, folder
):
    broken = folder / "broken_module.py"
    broken.write_text("raise OSError('no such sensor')\n")
    await store.append([run_of("t1", b"1")])
    spec = spec_of("echo")
    spec = type(spec)(**{**_fields(spec), "call": "broken_module:f"})
    async with shop.at_work(spec) as loop:
        await until(lambda: loop.broken, "it to be found broken")
        assert loop.broken.endswith("OSError: no such sensor")
        broken.write_text("def f(event):\n    return 'echo/x', 1\n")
        assert await loop.renew()
        await until(lambda: loop.tally.done == 1, "the event to be done")
        assert not loop.broken
        broken.write_text("1 / 0\n")
        assert not await loop.renew()
        await store.append([run_of("t1", b"2")])
        await until(lambda: loop.tally.done == 2, "the old function to go on")
    alerts = [orjson.loads(one.payload) for one in await records(store, "alerts")]
    assert [alert["key"] for alert in alerts] == ["h", "h"]
    assert "no such sensor" in alerts[0]["message"]


def _fields(spec):
    return {name: getattr(spec, name) for name in type(spec).__slots__}


async def test_a_topic_that_nobody_may_publish_to_is_a_failure(shop, store, spec_of):
    await store.append([run_of("t1", b"1")])
    async with shop.at_work(spec_of("nowhere", tries_max=1)) as loop:
        await until(lambda: loop.tally.dead_lettered == 1, "the dead letter")
    (letter,) = [orjson.loads(one.payload) for one in await records(store, "dead-letters")]
    assert "the gateway's own" in letter["cause"]


async def test_leases_are_prolonged_while_a_function_works(shop, store, spec_of, monkeypatch):
    monkeypatch.setattr(loops, "LEASE_MS", 150)
    await store.append([run_of("t1", *[b"1"] * 30)])
    async with shop.at_work(spec_of("slow")) as loop:
        await until(lambda: loop.tally.done == 30, "everything to be done")
    assert len(await records(store, topic="echo/")) == 30


async def test_a_store_that_refuses_for_a_while_loses_and_doubles_nothing(
    shop, store, spec_of, monkeypatch
):
    monkeypatch.setattr(loops, "RETRY_S", 0.01)
    monkeypatch.setattr("gateway.pipeline.handlers.settling.RETRY_S", 0.01)
    commit, refusals = store.commit_group, iter(range(6))

    async def moody(*arguments, **rest):
        number = next(refusals, 6)
        if number in {1, 2}:
            raise StoreUnavailable("no")
        appended = await commit(*arguments, **rest)
        if number in {3, 4}:
            raise StoreUnavailable("written, but nobody could say so")
        return appended

    monkeypatch.setattr(store, "commit_group", moody)
    monkeypatch.setattr(loops, "LEASE_MS", 200)
    monkeypatch.setattr(loops, "LOOK_AGAIN_S", 0.1)
    await store.append([run_of("t1", *[b"1"] * 10), run_of("t2", *[b"2"] * 10)])
    async with shop.at_work(spec_of("echo")) as loop:
        await until(lambda: _is_read(shop, 20), "everything to be done")
        assert loop.tally.failed == 0
    assert len(await records(store, topic="echo/")) == 20
