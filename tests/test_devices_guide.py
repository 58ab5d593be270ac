"""The guide to devices tells the truth: its profiles load, and its commands do what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.devices import parse_profile

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "devices.md").read_text()
PROFILES = [
    block for block in re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.M | re.S) if "profile:" in block
]
BOOKS = [parse_profile(block) for block in PROFILES if "\nprofile:" in block]


def test_the_guide_has_profiles():
    assert [book.profiles[0].name for book in BOOKS] == ["pump", "meter"]


def test_the_first_profile_does_what_the_guide_says():
    decode = BOOKS[0].decoder_of("plant/north/pump-7/telemetry")
    value = decode(b'{"temperature": 634, "body": {"pressure": 2}, "at": 1767225600}')
    assert (value["temperature"], value["pressure"], value["time_ms"]) == (63.4, 2, 1767225600000)
    assert "temperature" in decode(b'{"temperature": 9999, "at": 1}')["_invalid"]


def test_the_layout_of_the_guide_reads_a_frame():
    head = bytes([2, 0x31, 0, 0]) + (1500).to_bytes(3, "little") + bytes([1, 0, 2, 0, 3, 0])
    raw = head + bytes(8) + bytes([7, 1, 5, 0]) + b"\xab\xcd\xef\x01" + b"east\0"
    assert BOOKS[1].decoder_of("meters/m1")(raw) == {
        "version": 2,
        "flags": 0x31,
        "alarm": True,
        "battery": 3,
        "power": 1.5,
        "phases": [1, 2, 3],
        "gps": [{"lat": 0.0, "lon": 0.0}],
        "extra": 7,
        "n": 1,
        "samples": [5],
        "serial": "abcdef01",
        "label": "east",
    }


@pytest.mark.parametrize(
    "word",
    [
        *("base", "topics", "payload", "fields", "time", "schema", "limits"),
        *("undecodable", "invalid"),
    ],
)
def test_every_key_is_in_the_table(word):
    assert f"| `{word}` |" in GUIDE
