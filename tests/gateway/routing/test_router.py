from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import MalformedPacket, MqttError, ProtocolError
from gateway.events import Origin, Run
from gateway.routing import NoStreamForTopic, Route, Router, StreamRoute, cut_runs

STREAMS = [
    StreamRoute("alerts", ("alerts/#",), 1),
    StreamRoute("power", ("+/meter/#", "power"), 3),
    StreamRoute("rest", ("plant/#",), 4),
]


class Count:
    """Calls a function and counts how often it was called."""

    def __init__(self, function):
        self.function = function
        self.calls = 0

    def __call__(self, *arguments):
        self.calls += 1
        return self.function(*arguments)


def device_of(topic):
    return topic.split("/")[-1]


def partition_of(device, partitions):
    return len(device) % partitions


def router(**options):
    return Router(STREAMS, device_of, partition_of, **options)


def naive_runs(routes, payloads, flags, properties):
    """Each record in a run of its own partition: what each partition then holds, in order."""
    held = {}
    for index, route in enumerate(routes):
        own = None if properties is None else properties[index]
        record = (route.origin, payloads[index], flags[index], own)
        held.setdefault((route.stream, route.partition), []).append(record)
    return held


def records_of(run):
    properties = run.properties or [None] * len(run)
    return list(zip(run.origins, run.payloads, run.flags, properties, strict=True))


def test_the_first_stream_that_matches_takes_a_topic():
    assert router().route_of("plant/meter/m1") == Route("power", 2, Origin("plant/meter/m1", "m1"))
    assert router().route_of("plant/pump/p1").stream == "rest"
    assert router().route_of("alerts/meter").stream == "alerts"


def test_every_filter_of_a_stream_counts():
    assert router().route_of("power").stream == "power"


def test_a_topic_that_no_stream_takes_is_refused():
    with pytest.raises(NoStreamForTopic, match="no stream takes the topic 'other/x'") as caught:
        router().route_of("other/x")
    assert isinstance(caught.value, MqttError)


def test_topics_of_the_wire_are_routed_in_their_order():
    topics = [b"plant/a", b"plant/meter", b"plant/a", "plant/größe".encode()]
    routes = router().routes_of(topics)
    assert [route.origin.topic for route in routes] == [topic.decode() for topic in topics]


def test_a_topic_is_resolved_once():
    count = Count(device_of)
    known = Router(STREAMS, count, partition_of)
    first = known.routes_of([b"plant/a", b"plant/b", b"plant/a"])
    assert count.calls == 2
    assert known.routes_of([b"plant/a"])[0] is first[0]
    assert count.calls == 2


def test_what_is_kept_of_topics_is_bounded():
    count = Count(device_of)
    known = Router(STREAMS, count, partition_of, known_bytes_max=10_000)
    for number in range(500):
        known.routes_of([b"plant/%d" % number])
        assert len(known._routes_by_topic_bytes) <= 10_000 // 450
    known.routes_of([b"plant/" + b"x" * 60_000])
    assert len(known._routes_by_topic_bytes) == 1
    calls = count.calls
    known.routes_of([b"plant/499", b"plant/499"])
    assert count.calls == calls + 1


@pytest.mark.parametrize("topic", [b"plant/\xff", b"", b"plant/+", b"plant/#", b"plant/\x00"])
def test_what_is_no_topic_name_is_refused_and_not_kept(topic):
    known = router()
    for _ in range(2):
        with pytest.raises(MalformedPacket):
            known.routes_of([b"plant/a", topic])


def test_a_refused_topic_leaves_the_others_known():
    known = router()
    with pytest.raises(NoStreamForTopic):
        known.routes_of([b"plant/a", b"other/x"])
    assert known.routes_of([b"plant/a"])[0].stream == "rest"


def test_what_lies_in_one_partition_is_one_run_of_the_given_columns():
    routes = router().routes_of([b"plant/ab", b"plant/cd"])
    payloads, flags = [b"1", b"2"], b"\x00\x02"
    (run,) = cut_runs(routes, payloads, flags, "c", 7)
    assert run == Run("rest", 2, "c", 7, [route.origin for route in routes], payloads, flags, None)
    assert run.payloads is payloads


def test_the_same_topic_throughout_is_one_run():
    routes = router().routes_of([b"plant/ab"] * 3)
    (run,) = cut_runs(routes, [b"1", b"2", b"3"], b"\x00\x02\x03", "c", 7, [b"", b"p", b""])
    assert list(run.origins) == [Origin("plant/ab", "ab")] * 3
    assert run.properties == [b"", b"p", b""]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_cutting_agrees_with_sorting_one_by_one(seed, has_properties):
    rng = random.Random(seed)
    topics = [
        rng.choice(
            [b"plant/%s" % (b"d" * rng.randint(1, 5)), b"x/meter/%d" % rng.randint(0, 9), b"power"]
        )
        for _ in range(rng.randint(1, 12))
    ]
    routes = router().routes_of(topics)
    payloads = [b"%d" % index for index in range(len(topics))]
    flags = bytes(rng.randrange(4) for _ in topics)
    properties = [b"p%d" % index for index in range(len(topics))] if has_properties else None
    runs = cut_runs(routes, payloads, flags, "c", 7, properties)
    found = {(run.stream, run.partition): records_of(run) for run in runs}
    assert len(found) == len(runs)
    assert found == naive_runs(routes, payloads, flags, properties)
    assert {(run.client, run.arrival_ms) for run in runs} == {("c", 7)}


def test_a_client_publishes_to_topics_of_so_many_levels_and_no_more():
    found = router(topic_levels_max=3)
    assert found.routes_of([b"plant/meter/m1"])
    with pytest.raises(ProtocolError, match="at most 3 levels") as caught:
        found.routes_of([b"plant/meter/m1", b"plant/meter/m1/x"])
    assert caught.value.reason_code == 0x90
    assert found.route_of("plant/meter/m1/x")


def test_topics_may_name_their_devices_in_another_way_from_now_on():
    found = router()
    before = found.routes_of([b"plant/meter/m1"])[0].origin.device
    found.rename(lambda topic: f"{before}-{topic.count('/')}")
    assert found.routes_of([b"plant/meter/m1"])[0].origin.device == f"{before}-2"
