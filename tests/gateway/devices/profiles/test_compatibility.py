from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import (
    PROFILE_MODES,
    FieldSpec,
    PayloadInvalid,
    Profile,
    ProfileBook,
    parse_profile,
    profile_breaks,
)

BASE = """
version: 1
profile: pump
topics: ["plant/{device}/t"]
payload: {format: %s}
fields:
  t: {%s}
%s
"""


def profile(field="type: number", payload="json", rest=""):
    return parse_profile(BASE % (payload, field, rest)).profiles


def told(old, new):
    return [(one.direction, one.message) for one in profile_breaks(old, new)]


def test_what_is_the_same_breaks_nothing():
    assert told(profile(), profile()) == []
    assert told([], profile()) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("type: number", "type: number, required: true", ["backward"]),
        ("type: number, required: true", "type: number", ["forward"]),
        ("type: number", "type: integer", ["backward"]),
        ("type: integer", "type: number", ["forward"]),
        ("type: text", "type: number", ["backward", "forward"]),
        ("type: number, max: 9", "type: number, max: 8", ["backward"]),
        ("type: number, max: 9", "type: number, max: 10", ["forward"]),
        ("type: number, min: 0", "type: number", ["forward"]),
        ("type: number, min: 1, max: 9", "type: number, min: 2, max: 10", ["backward", "forward"]),
        ("type: number", "type: number, unit: bar", ["backward", "forward"]),
        ("type: number", "type: number, scale: 0.1", ["backward", "forward"]),
        ("type: number", "type: number, from: a.b", ["backward", "forward"]),
    ],
)
def test_a_field_that_changes_breaks_what_it_breaks(old, new, expected):
    assert [direction for direction, _ in told(profile(old), profile(new))] == expected


def test_fields_come_and_go():
    more = profile(rest="  p: {type: number}")
    needed = profile(rest="  p: {type: number, required: true}")
    assert told(profile(), more) == []
    assert told(more, profile()) == []
    assert told(profile(), needed) == [
        ("backward", "field 'p' is new and required: payloads of before lack it")
    ]
    assert told(needed, profile()) == [("forward", "field 'p' is gone: readers rely on it")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"payload": "cbor"}, "the payload is read differently: json, now cbor"),
        ({"rest": "time: {field: t, unit: s}"}, "the time of measurement comes from elsewhere"),
    ],
)
def test_what_is_read_differently_breaks_both_ways(change, message):
    assert told(profile(), profile(**change)) == [("backward", message), ("forward", message)]


def test_a_profile_or_a_topic_that_is_gone_is_said():
    assert [one.direction for one in profile_breaks(profile(), [])] == ["backward", "forward"]
    moved = parse_profile((BASE % ("json", "type: number", "")).replace("plant/", "site/")).profiles
    assert told(profile(), moved) == [("backward", "'plant/{device}/t' is not its topic any more")]


def test_smaller_limits_are_said():
    small = profile(rest="limits: {size: 1KiB, depth: 2, values: 5}")
    assert [message.split("'")[1] for _, message in told(profile(), small)] == [
        "size",
        "depth",
        "values",
    ]
    assert told(small, profile()) == []


def test_schemas_are_compared_on_their_first_level():
    def with_schema(schema):
        return [Profile("p", schema=schema)]

    old = {"required": ["a"], "properties": {"a": {"type": "number"}, "b": {"type": "string"}}}
    new = {"required": ["b"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    assert [direction for direction, _ in told(with_schema(old), with_schema(new))] == [
        "backward",
        "forward",
        "backward",
        "forward",
    ]
    assert told(with_schema(None), with_schema({"required": ["a"]})) == [
        ("backward", "the schema requires 'a' now")
    ]


NUMBERS = st.none() | st.integers(-3, 3)
FIELDS = st.builds(
    lambda kind, low, high, needed: FieldSpec(
        "t", ("t",), kind, minimum=low, maximum=high, is_required=needed
    ),
    st.sampled_from(["number", "integer"]),
    NUMBERS,
    NUMBERS,
    st.booleans(),
)


@settings(max_examples=100, deadline=None)
@given(old=FIELDS, new=FIELDS, value=st.none() | st.integers(-4, 4) | st.sampled_from([0.5, 2.5]))
def test_a_change_that_is_backward_accepts_what_was_right_before(old, new, value):
    before = Profile("p", fields=(old,), invalid="reject")
    after = Profile("p", fields=(new,), invalid="reject")
    directions = {one.direction for one in profile_breaks([before], [after])}
    raw = b"{}" if value is None else b'{"t": %s}' % str(value).encode()
    if accepts(before, raw) and "backward" not in directions:
        assert accepts(after, raw)
    if accepts(after, raw) and "forward" not in directions:
        assert accepts(before, raw)


def accepts(own, raw):
    try:
        ProfileBook([own]).decoder_named("p")(raw)
    except PayloadInvalid:
        return False
    return True


def test_each_mode_asks_for_its_directions():
    assert {mode: len(ways) for mode, ways in PROFILE_MODES.items()} == {
        "backward": 1,
        "forward": 1,
        "full": 2,
        "none": 0,
    }
