from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import DecodeLimits, FieldSpec, PayloadInvalid, Undecodable
from gateway.devices.decoders.fields import fields_decoder, shown, time_reader
from gateway.devices.decoders.json_text import json_decoder
from gateway.devices.profiles.spec import TimeField

LIMITS = DecodeLimits()


def finish(value, bad):
    raise PayloadInvalid("; ".join(bad))


def decoder(*fields, time=None, json_limits=LIMITS):
    return fields_decoder(json_decoder(LIMITS), fields, time, finish, json_limits)


def field(name, **rest):
    return FieldSpec(name, rest.pop("source", (name,)), **rest)


def test_a_value_is_scaled_into_its_unit():
    decode = decoder(field("t", type="number", scale=0.1, offset=-40))
    assert decode(b'{"t": 634, "other": 1}') == {"t": 63.4 - 40, "other": 1}


def test_a_tenth_is_exact():
    decode = decoder(field("t", type="number", scale=0.1))
    for number in range(-1000, 1000):
        assert decode(b'{"t": %d}' % number) == {"t": number / 10}


def test_a_field_may_come_from_within():
    decode = decoder(field("t", source=("body", "env", "temp"), type="number"))
    assert decode(b'{"body": {"env": {"temp": 5}}}')["t"] == 5
    assert "t" not in decode(b'{"body": 7}')


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("number", ["1", "1.5"], ["true", '"1"', "[]"]),
        ("integer", ["1"], ["1.5", "false"]),
        ("text", ['""'], ["1", "{}"]),
        ("boolean", ["true"], ["1", '"true"']),
    ],
)
def test_a_type_is_what_json_says(kind, right, wrong):
    decode = decoder(field("x", type=kind))
    for text in [*right, "null"]:
        decode(f'{{"x": {text}}}'.encode())
    for text in wrong:
        with pytest.raises(PayloadInvalid, match="'x' is"):
            decode(f'{{"x": {text}}}'.encode())


def test_what_is_out_of_range_or_missing_is_named():
    decode = decoder(field("t", type="number", minimum=-40, maximum=125, is_required=True))
    with pytest.raises(PayloadInvalid, match="'t' is 126; it must be at least -40 and at most 125"):
        decode(b'{"t": 126}')
    with pytest.raises(PayloadInvalid, match="'t' is missing"):
        decode(b"{}")
    with pytest.raises(PayloadInvalid, match="'t' is missing"):
        decode(b'{"t": null}')


def test_everything_that_is_wrong_is_named():
    decode = decoder(field("a", type="number"), field("b", is_required=True))
    with pytest.raises(PayloadInvalid, match="'a' is a list; it is not a number; 'b' is missing"):
        decode(b'{"a": []}')


@pytest.mark.parametrize("raw", [b"5", b"[]", b"null", b'"x"'])
def test_a_payload_without_fields_is_invalid(raw):
    with pytest.raises(PayloadInvalid, match="not an object"):
        decoder(field("a"))(raw)


def twin(value, spec):
    """What a field means, said slowly: the value and whether it is right."""
    for step in spec.source:
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return None, not spec.is_required
    kinds = {"number": (int, float), "integer": (int,), "text": (str,), "boolean": (bool,)}
    if spec.type != "any" and type(value) not in kinds[spec.type]:
        return value, False
    if spec.type in ("number", "integer"):
        value = value * spec.scale + spec.offset
        low = spec.minimum is None or value >= spec.minimum
        return value, low and (spec.maximum is None or value <= spec.maximum)
    return value, True


VALUES = st.none() | st.booleans() | st.integers(-50, 50) | st.text(max_size=2) | st.floats(-50, 50)


@settings(deadline=None, max_examples=300)
@given(
    value=st.fixed_dictionaries({"a": VALUES, "b": st.fixed_dictionaries({"c": VALUES})}),
    kind=st.sampled_from(["number", "integer", "text", "boolean", "any"]),
    source=st.sampled_from([("a",), ("b", "c"), ("none",), ("a", "x")]),
    bounds=st.tuples(st.none() | st.integers(-20, 20), st.none() | st.integers(-20, 20)),
    scale=st.sampled_from([1, 0.5, 4]),
    is_required=st.booleans(),
)
def test_the_made_function_means_what_the_twin_means(
    value, kind, source, bounds, scale, is_required
):
    minimum, maximum = bounds if kind in ("number", "integer") else (None, None)
    scale = scale if kind in ("number", "integer") else 1
    spec = FieldSpec("n", source, kind, "", minimum, maximum, scale, 0, is_required)
    expected, is_right = twin(value, spec)
    decode = fields_decoder(lambda raw: value, [spec], None, lambda value, bad: bad)
    found = decode(b"")
    if not is_right:
        assert isinstance(found, list)
    elif expected is not None:
        assert found["n"] == expected


@pytest.mark.parametrize(
    ("unit", "written", "moment_ms"),
    [
        ("s", 1767225600, 1767225600000),
        ("s", 1767225600.25, 1767225600250),
        ("ms", 1767225600001, 1767225600001),
        ("us", 1767225600001999, 1767225600002),
        ("ns", 1767225600001000000, 1767225600001),
        ("iso", "2026-01-01T00:00:00Z", 1767225600000),
        ("iso", "2026-01-01T01:00:00+01:00", 1767225600000),
        ("s", "soon", None),
        ("s", 10**18, None),
        ("s", True, None),
        ("iso", "soon", None),
        ("iso", 5, None),
    ],
)
def test_a_time_becomes_milliseconds(unit, written, moment_ms):
    assert time_reader(unit)(written) == moment_ms
    decode = fields_decoder(
        lambda raw: {"at": written}, [], TimeField("at", unit), lambda value, bad: bad
    )
    found = decode(b"")
    expected = {"at": written, "time_ms": moment_ms}
    if moment_ms is None:
        assert "no time" in found[0]
    else:
        assert found == expected


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=50) | st.text('{}[]":,ab0.e', max_size=40).map(str.encode))
def test_bytes_are_fields_or_undecodable(raw):
    decode = decoder(field("a", type="number", minimum=0), time=TimeField("b"))
    try:
        assert isinstance(decode(raw), dict)
    except Undecodable:
        return


def test_json_near_a_limit_takes_the_careful_way():
    decode = decoder(field("a"))
    with pytest.raises(Undecodable, match="deeper"):
        decode(b'{"a":' + b"[" * 20 + b"]" * 20 + b"}")
    assert decode(b'{"a": "' + b"x" * 20_000 + b'"}')["a"]


def test_a_value_is_shown_shortly():
    assert shown([1] * 1000) == "a list"
    assert len(shown(10**30 + 0.5)) <= 40
