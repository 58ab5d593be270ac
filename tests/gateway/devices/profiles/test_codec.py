from __future__ import annotations

import struct

import pytest
from msgspec import msgpack

from gateway.devices import PayloadInvalid, Profile, Undecodable
from gateway.devices.decoders.frame_layout import Part
from gateway.devices.profiles.codec import FORMATS, build_decoder
from gateway.devices.profiles.spec import FieldSpec, Format, PayloadSpec

T = FieldSpec("t", ("t",), "number", maximum=100)
PAYLOADS = {
    "json": (PayloadSpec(), b'{"t": 5}'),
    "cbor": (PayloadSpec("cbor"), b"\xa1\x61t\x05"),
    "messagepack": (PayloadSpec("messagepack"), msgpack.encode({"t": 5})),
    "number": (PayloadSpec("number", name="t"), b"5"),
    "csv": (PayloadSpec("csv", columns=("t",)), b"5"),
    "frame": (PayloadSpec("frame", layout=(Part("t", "u16"),)), struct.pack(">H", 5)),
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_every_format_comes_to_the_same_fields(name):
    payload, raw = PAYLOADS[name]
    decode = build_decoder(Profile("p", payload=payload, fields=(T,)))
    assert decode(raw) == {"t": 5}
    with pytest.raises(Undecodable):
        decode(b"\xff\xff\xff")


def test_every_format_has_a_decoder():
    assert set(FORMATS) == set(Format.__args__)


def test_a_column_of_text_keeps_its_zeros():
    text = FieldSpec("id", ("id",), "text")
    decode = build_decoder(
        Profile("p", payload=PayloadSpec("csv", columns=("id",)), fields=(text,))
    )
    assert decode(b"007") == {"id": "007"}


@pytest.mark.parametrize(
    ("invalid", "expected"),
    [
        ("tag", {"t": 101, "_invalid": "'t' is 101; it must be at most 100"}),
        ("ignore", {"t": 101}),
        ("reject", None),
        ("dead-letter", None),
    ],
)
def test_what_is_wrong_is_tagged_ignored_or_refused(invalid, expected):
    decode = build_decoder(Profile("p", fields=(T,), invalid=invalid))
    if expected is None:
        with pytest.raises(PayloadInvalid, match="at most 100"):
            decode(b'{"t": 101}')
    else:
        assert decode(b'{"t": 101}') == expected


def test_a_schema_is_held_against_the_payload_as_it_was_sent():
    schema = {"properties": {"t": {"maximum": 9}}}
    profile = Profile("p", fields=(FieldSpec("t", ("t",), "number", scale=10),), schema=schema)
    decode = build_decoder(profile)
    assert decode(b'{"t": 9}') == {"t": 90}
    assert "_invalid" in decode(b'{"t": 10}')


def test_a_tag_needs_an_object_to_stand_in():
    decode = build_decoder(Profile("p", schema={"type": "object"}))
    with pytest.raises(PayloadInvalid):
        decode(b"5")
