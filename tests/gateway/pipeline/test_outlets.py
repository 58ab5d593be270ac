from __future__ import annotations

from gateway.errors import MqttError, StreamInvalid
from gateway.events import Flag, Origin
from gateway.pipeline.outlets import Outlets
from gateway.rules import Cause, Publication, SideEvent
from gateway.store.memory import MemoryStore

CAUSE = Cause(1, "telemetry", 0, 7)


def route(topic):
    if topic.startswith("nowhere"):
        raise MqttError("no stream", 0x90)
    return "telemetry", len(topic) % 2, Origin(topic, "d")


def publication(topic, qos=1, retain=False):
    return Publication(f"id {topic}", CAUSE, topic, topic.encode(), qos, retain)


def test_outputs_of_one_partition_are_one_run_in_their_order():
    outputs = [
        publication("aa"),
        publication("b"),
        publication("cc", 2, True),
        publication("dd", 0),
    ]
    even, odd = Outlets(route).runs_of(outputs, 5)
    assert (even.stream, even.partition, even.client, even.arrival_ms) == (
        "telemetry",
        0,
        "$rules",
        5,
    )
    assert even.payloads == [b"aa", b"cc", b"dd"]
    assert list(even.flags) == [Flag.QOS_1, Flag.QOS_2 | Flag.RETAIN, 0]
    assert odd.payloads == [b"b"]


def test_an_output_that_no_stream_takes_is_counted():
    outlets = Outlets(route)
    assert outlets.runs_of([publication("nowhere/1")], 5) == []
    assert outlets.unrouted_count == 1


async def test_a_side_stream_that_cannot_be_made_costs_its_events_only():
    class Full(MemoryStore):
        async def ensure(self, spec):
            if spec.name == "late-b":
                raise StreamInvalid("too many streams")
            await super().ensure(spec)

    outlets, store = Outlets(route), Full()
    events = [SideEvent(CAUSE, rule, "t", "d", b"x") for rule in ("a", "b", "a")]
    placed = await outlets.open_for([*events, publication("aa")], store)
    assert placed == [events[0], events[2], publication("aa")]
    assert [spec.name for spec in await store.streams()] == ["late-a"]
    assert outlets.unrouted_count == 1
