from __future__ import annotations

import json

from gateway.cli.decoded_lines import DecodedLines
from gateway.cli.record_lines import Line, json_line, text_line
from gateway.devices import parse_profile

BOOK = parse_profile(
    'version: 1\nprofile: p\ntopics: ["a/{device}"]\n'
    "payload: {format: frame, layout: [{name: t, type: u8}]}\n"
)
RIGHT = Line("telemetry", 0, 7, "2026-01-01T00:00:00.000Z", "a/b", "b", b"\x05")
WRONG = RIGHT._replace(payload=b"")
OTHER = RIGHT._replace(topic="x/y")


def test_programs_get_one_field_more():
    show = DecodedLines(BOOK).show(as_json=True)
    usual = json.loads(json_line(RIGHT))
    assert json.loads(show(RIGHT)) == usual | {"decoded": {"t": 5}}
    found = json.loads(show(WRONG))
    assert found["undecodable"] == "too short: 1 bytes are needed at byte 0 of 0"


def test_people_see_the_decoded_payload_in_place_of_the_bytes():
    show = DecodedLines(BOOK).show(as_json=False)
    assert show(RIGHT).endswith(b'{"t":5}')
    assert b"undecodable: too short" in show(WRONG)


def test_a_topic_without_a_profile_is_shown_as_always():
    lines = DecodedLines(BOOK)
    assert lines.show(as_json=True)(OTHER) == json_line(OTHER)
    assert lines.show(as_json=False)(OTHER) == text_line(OTHER)
