from __future__ import annotations

import pytest

from gateway.rules.alarm_topics import CommandTopic
from gateway.rules.commands import SHELVED_MS, read_command
from gateway.rules.values import UNKNOWN


def read(verb, payload=UNKNOWN, raw=b""):
    return read_command(CommandTopic("hot", "m1", verb), payload, raw, "c7")


def test_an_empty_message_is_enough():
    assert read("ack").reason == "acknowledged by c7"
    assert read("shelve").for_ms == SHELVED_MS
    assert read("unshelve").reason == "unshelved by c7"


@pytest.mark.parametrize(
    ("verb", "payload", "raw", "for_ms", "reason"),
    [
        ("ack", UNKNOWN, b"on my way", SHELVED_MS, "acknowledged by c7 (on my way)"),
        ("ack", "seen", b'"seen"', SHELVED_MS, "acknowledged by c7 (seen)"),
        ("shelve", UNKNOWN, b" 30m\n", 1_800_000, "shelved by c7"),
        ("shelve", {"for": "2h", "by": "ben"}, b"", 7_200_000, "shelved by ben"),
        ("ack", {"comment": "x" * 300}, b"", SHELVED_MS, f"acknowledged by c7 ({'x' * 256})"),
    ],
)
def test_a_message_may_say_more(verb, payload, raw, for_ms, reason):
    found = read(verb, payload, raw)
    assert (found.for_ms, found.reason) == (for_ms, reason)


@pytest.mark.parametrize(
    ("verb", "payload", "raw"),
    [
        ("shelve", UNKNOWN, b"soon"),
        ("shelve", {"for": "0s"}, b""),
        ("shelve", {"for": "32d"}, b""),
        ("shelve", {"for": 60}, b""),
        ("ack", {"n": "3"}, b""),
        ("ack", {"n": True}, b""),
        ("ack", 5, b"5"),
        ("ack", UNKNOWN, b"\xff"),
    ],
)
def test_what_cannot_be_meant_is_no_command(verb, payload, raw):
    assert read(verb, payload, raw) is None
