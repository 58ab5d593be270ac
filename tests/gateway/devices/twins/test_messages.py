from __future__ import annotations

import pytest

from gateway.devices.twins.messages import TwinEvent, decode_event, request_text


def test_an_event_survives_the_log():
    event = TwinEvent("desired", 3, {"a": None}, {"b": 1}, "console", 5)
    assert decode_event(event.encode()) == event


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"part": "other"}', b"\xff"])
def test_what_is_no_event_is_none(payload):
    assert decode_event(payload) is None


def test_a_question_that_comes_back_is_short_text():
    assert request_text(b"\xff" + b"x" * 1_000) == "\N{REPLACEMENT CHARACTER}" + "x" * 255
