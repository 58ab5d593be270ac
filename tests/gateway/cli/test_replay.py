from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from gateway.cli.rules import app
from gateway.clock import ManualClock
from gateway.errors import DocumentInvalid, StoreUnavailable, UnknownStream
from gateway.events import Origin, Run
from gateway.store import StoreOptions, StreamSpec, open_store

RULES = """
version: 1
rules:
  - id: hot
    from: plant/+
    key: device
    when: payload.x > 5
    for: 2s
    time: {by: event, field: payload.ts, idle: 10s}
    alarm: {severity: major, message: "{device}: {payload.x}"}
"""
START_MS = 1_700_000_000_000
READINGS = [("a", 0, 6), ("b", 0, 1), ("a", 3, 9), ("b", 4, 7), ("a", 5, 2), ("a", 4, 8)]


def run_of(device, second, x):
    payload = json.dumps({"ts": second * 1_000, "x": x}).encode()
    arrival_ms = START_MS + second * 1_000
    partition = 0 if device == "a" else 1
    return Run(
        "telemetry",
        partition,
        "c",
        arrival_ms,
        [Origin(f"plant/{device}", device)],
        [payload],
        b"\x00",
    )


async def write_log(folder):
    clock = ManualClock(START_MS)
    store = await open_store(StoreOptions(data_dir=folder), clock)
    for name, partitions in (("telemetry", 2), ("ticks", 1)):
        await store.ensure(StreamSpec(name, partitions=partitions))
    for reading in READINGS:
        await store.append([run_of(*reading)])
    now_ms = START_MS + 60_000
    tick = json.dumps({"now_ms": now_ms}).encode()
    await store.append(
        [Run("ticks", 0, "$rules", now_ms, [Origin("ticks", "ticks")], [tick], b"\x00")]
    )
    await store.close()


@pytest.fixture
def log(tmp_path):
    asyncio.run(write_log(tmp_path / "data"))
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path


def replay(folder, *arguments):
    where = ["--data", str(folder / "data"), "--rules", str(folder / "rules.yaml")]
    result = CliRunner().invoke(app, ["replay", *where, *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_each_transition_is_a_line_of_json(log):
    lines = [json.loads(line) for line in replay(log, "--json").stdout.splitlines()]
    names = ("rule", "key", "event", "time", "severity", "message", "partition", "offset")
    assert [tuple(line[name] for name in names) for line in lines] == [
        ("hot", "a", "raised", "1970-01-01T00:00:02.000Z", "major", "a: 6", 0, 1),
        ("hot", "a", "cleared", "1970-01-01T00:00:05.000Z", "major", "a: 2", 0, 2),
        ("hot", "b", "raised", "1970-01-01T00:00:06.000Z", "major", "b: 7", 0, 0),
    ]
    assert tuple(lines[0])[:8] == names


def test_the_same_log_prints_the_same_bytes(log):
    assert replay(log, "--json").stdout == replay(log, "--json").stdout


def test_people_get_columns_and_a_summary(log):
    assert replay(log).stdout.splitlines() == [
        "1970-01-01T00:00:02.000Z  raised   major     hot  a  a: 6",
        "1970-01-01T00:00:05.000Z  cleared  major     hot  a  a: 2",
        "1970-01-01T00:00:06.000Z  raised   major     hot  b  b: 7",
        "6 records replayed",
        "  hot: 2 raised, 1 cleared, 1 late event",
    ]


@pytest.mark.parametrize(
    ("arguments", "events"),
    [
        (["--to", "2023-11-14T22:13:24Z"], [("a", "raised")]),
        (["--from", "2023-11-14T22:13:23Z"], [("a", "raised"), ("a", "cleared"), ("b", "raised")]),
        (["--from", "@1", "--to", "@2"], []),
    ],
)
def test_a_stretch_of_the_log_can_be_replayed(log, arguments, events):
    lines = [json.loads(line) for line in replay(log, "--json", *arguments).stdout.splitlines()]
    assert [(line["key"], line["event"]) for line in lines] == events


def test_what_is_missing_or_wrong_is_said(log, tmp_path):
    with pytest.raises(UnknownStream, match="did you mean 'telemetry'"):
        replay(log, "--stream", "telemetri")
    assert replay(log, "--from", "yesterday").exit_code == 2
    (log / "rules.yaml").write_text("version: 1\nrules: [{id: x}]\n")
    with pytest.raises(DocumentInvalid):
        replay(log)
    (log / "rules.yaml").write_text(RULES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreUnavailable):
        replay(log, "--data", str(tmp_path / "empty"))


def test_rules_that_read_rules_are_fed_by_the_rules_that_are_tried(log):
    (log / "rules.yaml").write_text(
        "version: 1\nrules:\n"
        "  - {id: doubles, from: plant/+, let: {twice: payload.x * 2}, emit: {stream: doubles}}\n"
        '  - {id: high, from: "rule:doubles", when: payload.twice > 15}\n'
    )
    lines = [json.loads(line) for line in replay(log, "--json").stdout.splitlines()]
    found = [(line["key"], line["event"], line["stream"], line["offset"]) for line in lines]
    assert found == [
        ("a", "raised", "doubles", 2),
        ("a", "cleared", "doubles", 4),
        ("a", "raised", "doubles", 5),
    ]
