"""Outputs on their way into the log: which run each goes into, and in which order."""

from gateway.errors import MqttError
from gateway.events import Flag, Origin
from gateway.pipeline.outlets import Outlets
from gateway.rules import Cause, Publication, SideEvent
from gateway.store.memory import MemoryStore

CAUSE = Cause(1, "telemetry", 0, 0)


def route(topic):
    if topic.startswith("$"):
        raise MqttError("no stream", 0x87)
    return "telemetry", len(topic) % 2, Origin(topic, "d")


def publication(topic, payload=b"x", *, qos=0, retain=False):
    return Publication("id-1", CAUSE, topic, payload, qos, retain)


def test_outputs_of_one_partition_share_a_run_in_their_order():
    outlets = Outlets(route)
    sent = [publication("a", b"1"), publication("bb", b"2"), publication("c", b"3")]
    runs = outlets.runs_of(sent, arrival_ms=5)
    found = {run.partition: list(run.payloads) for run in runs}
    assert found == {1: [b"1", b"3"], 0: [b"2"]}
    assert {run.arrival_ms for run in runs} == {5}


def test_qos_and_retain_are_the_flags_of_the_record():
    (run,) = Outlets(route).runs_of([publication("a", qos=1, retain=True)], arrival_ms=0)
    assert run.flags == bytes([Flag.QOS_1 | Flag.RETAIN])


def test_a_topic_that_no_stream_takes_is_counted():
    outlets = Outlets(route)
    assert outlets.runs_of([publication("$SYS/x")], arrival_ms=0) == []
    assert outlets.unrouted_count == 1


async def test_a_side_stream_is_made_when_its_first_event_comes():
    store = MemoryStore()
    outlets = Outlets(route)
    late = SideEvent(CAUSE, "hot", "a/b", "b", b"{}")
    assert await outlets.open_for([late, publication("a")], store) == [late, publication("a")]
    assert [spec.name for spec in await store.streams()] == ["late-hot"]
    (run,) = outlets.runs_of([late], arrival_ms=0)
    assert (run.stream, run.partition, list(run.payloads)) == ("late-hot", 0, [b"{}"])
