from __future__ import annotations

import sys
from pathlib import Path

import pytest

from firmware_sim import log_reader
from firmware_sim.failures import SimulationFailed
from firmware_sim.log_reader import (
    iso_time,
    parse_line,
    payload_bytes,
    read_arguments,
    read_log,
)


def instead_of_penstock(monkeypatch, program):
    monkeypatch.setattr(log_reader, "PENSTOCK", (sys.executable, "-c", program))


async def test_every_line_is_a_record(monkeypatch):
    instead_of_penstock(monkeypatch, "print('{\"offset\":0}'); print('{\"offset\":1}')")
    assert [record async for record in read_log("telemetry", Path("d"), "earliest")] == [
        {"offset": 0},
        {"offset": 1},
    ]


async def test_a_failed_reader_is_an_error_in_its_own_words(monkeypatch):
    instead_of_penstock(monkeypatch, "import sys; sys.exit('penstock: no data directory at d')")
    with pytest.raises(SimulationFailed, match="stream 'x' in d: penstock: no data directory at d"):
        [_ async for _ in read_log("x", Path("d"), "earliest")]


async def test_a_silent_failure_tells_its_status(monkeypatch):
    instead_of_penstock(monkeypatch, "import sys; sys.exit(3)")
    with pytest.raises(SimulationFailed, match="exit status 3"):
        [_ async for _ in read_log("x", Path("d"), "earliest")]


async def test_a_reader_that_is_left_early_is_ended(monkeypatch):
    instead_of_penstock(monkeypatch, "while True: print('{}', flush=True)")
    records = read_log("x", Path("d"), "earliest")
    assert await anext(records) == {}
    await records.aclose()


def test_the_command_is_the_documented_one():
    arguments = read_arguments("alerts", Path("d"), "-1h", "--follow")
    assert arguments == [
        sys.executable, "-m", "gateway.cli", "streams", "read", "alerts",
        "--from", "-1h", "--json", "--data", "d", "--follow",
    ]  # fmt: skip


def test_times_are_written_in_utc_to_the_millisecond():
    assert iso_time(1_386_018_900_250) == "2013-12-02T21:15:00.250Z"


@pytest.mark.parametrize(
    ("record", "payload"),
    [
        ({"payload": {"ts": 1, "x": 0.1, "ok": True}}, b'{"ts":1,"x":0.1,"ok":true}'),
        ({"payload_base64": "/wA="}, b"\xff\x00"),
        ({"payload": None}, b"null"),
    ],
)
def test_payloads_are_as_they_were_published(record, payload):
    assert payload_bytes(record) == payload


@pytest.mark.parametrize(
    "payload", [b'{"a":3.90}', b'{"a":1}', b"1e5", b'"x"', b'{"payload":1}', b"[]"]
)
def test_a_payload_is_what_was_published_also_when_its_json_is_not_the_shortest(payload):
    line = b'{"topic":"a\\",\\"payload\\":","payload":' + payload + b"}\n"
    assert payload_bytes(parse_line(line)) == payload


def test_a_payload_that_something_follows_is_read_as_json():
    assert payload_bytes(parse_line(b'{"offset":1,"payload":{"a":3.90},"flags":1}')) == b'{"a":3.9}'
