import json

import pytest

from gateway.documents import open_document
from gateway.rules.trials.inputs import EVENTS_MAX, parse_start_ms, read_events


def events_of(text, start_ms=0):
    document = open_document(f"input:\n{text}", "t.test.yaml")
    events = read_events(document.sections("input"), start_ms)
    return events, [str(complaint) for complaint in document.in_order()]


def test_inputs_are_merged_in_the_order_of_their_arrival():
    events, complaints = events_of(
        "- {topic: a/1, every: 10s, payload.x: 1 2 3}\n"
        "- {topic: b/1, at: 5s, payload: {y: 1}, payload.z.w: up, device: d}\n"
    )
    assert complaints == []
    assert [(e.arrival_ms, e.topic, e.device, json.loads(e.payload)) for e in events] == [
        (0, "a/1", None, {"x": 1}),
        (5_000, "b/1", "d", {"y": 1, "z": {"w": "up"}}),
        (10_000, "a/1", None, {"x": 2}),
        (20_000, "a/1", None, {"x": 3}),
    ]


def test_a_stamp_is_the_event_time_and_a_delay_the_way_of_the_message():
    events, _ = events_of("- {topic: a/1, at: 1s, delay: 3s, stamp: payload.ts, payload.x: 1}\n", 9)
    assert (events[0].arrival_ms, json.loads(events[0].payload)) == (4_000, {"x": 1, "ts": 1_009})


def test_a_gap_leaves_the_field_out_and_a_gap_in_all_series_sends_nothing():
    events, _ = events_of("- {topic: t, every: 1s, payload.x: 1 _ _, payload.y: 1 2 _}\n")
    assert [json.loads(e.payload) for e in events] == [{"x": 1, "y": 1}, {"y": 2}]
    events, _ = events_of("- {topic: t, payload.x: _, payload.y: 1}\n")
    assert [json.loads(e.payload) for e in events] == [{"y": 1}]


def test_a_payload_may_be_anything_at_all():
    events, complaints = events_of(
        "- {topic: t, payload: 'no json'}\n- {topic: t, payload: [1, 2]}\n- {topic: t, times: 2, "
        "every: 1s, payload: {}}\n"
    )
    assert [e.payload for e in events] == [b"no json", b"[1,2]", b"{}", b"{}"]
    assert complaints == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{payload.x: 1}", "missing key 'topic'"),
        ("{topic: a/#, payload.x: 1}", "'a/#' is no topic"),
        ("{topic: t, payload.x: 1 2}", "2 events need 'every'"),
        ("{topic: t, every: 1s, payload.x: 1 2, payload.y: 1 2 3}", "'payload.x' has 2 values"),
        ("{topic: t, every: 1s, times: 5, payload.x: 1 2}", "'times' is 5, but a series has 2"),
        ("{topic: t, payload.x: 1y}", "'1y' is no part of a series"),
        ("{topic: t, payload.: 1}", "'payload.' is no field"),
        ("{topic: t, stamp: ts}", "'stamp' names a field of the payload"),
        ("{topic: t, payload: a, payload.x: 1}", "has no fields"),
        ("{topic: t, payload: {x: 1}, payload.x.y: 1}", "lies inside something"),
        ("{topic: t, evry: 1s}", "did you mean 'every'"),
    ],
)
def test_each_mistake_is_said_with_its_place(line, complaint):
    _, complaints = events_of(f"- {line}\n")
    assert complaint in complaints[0]
    assert complaints[0].startswith("t.test.yaml:2:")


def test_the_events_of_a_case_are_bounded():
    line = f"- {{topic: t, every: 1ms, payload.x: 1x{EVENTS_MAX}}}\n"
    events, complaints = events_of(line + "- {topic: t}\n")
    assert len(events) == EVENTS_MAX
    assert f"more than {EVENTS_MAX} events" in complaints[0]


def test_a_start_is_an_iso_time():
    assert parse_start_ms("1970-01-01T01:00:00+01:00") == 0
    assert parse_start_ms("1970-01-01T00:00:01") == 1_000
    assert parse_start_ms("soon") is None
    assert parse_start_ms("9999-12-31T00:00:00Z") is None
