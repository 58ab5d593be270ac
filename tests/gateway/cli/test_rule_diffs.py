from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from gateway.cli.rules import app
from gateway.clock import ManualClock
from gateway.events import Origin, Run
from gateway.rules import Engine, Transition, parse_rules
from gateway.store import StoreOptions, StreamSpec, open_store

START_MS = 1_700_000_000_000
RULES = """
version: 1
defaults: {from: plant/+, time: {by: event, field: payload.ts}}
rules:
  - {id: hot, when: payload.x > 5}
  - {id: cold, when: payload.x < 1}
"""
NEW = RULES.replace("> 5", "> 6").replace("< 1", "< 2")
VALUES = [3, 6, 9, 3, 6, 3, 1, 3, 0, 3]


def run_of(stream, topic, arrival_ms, payload):
    return Run(stream, 0, "c", arrival_ms, [Origin(topic, "m1")], [payload], b"\x00")


async def write_log(folder):
    """A log of readings a second apart, with the alerts that the rules of then have raised."""
    store = await open_store(StoreOptions(data_dir=folder), ManualClock(START_MS))
    for name in ("telemetry", "alerts", "ticks"):
        await store.ensure(StreamSpec(name, partitions=1))
    for number, value in enumerate(VALUES):
        now_ms = START_MS + number * 1_000
        payload = json.dumps({"ts": now_ms, "x": value}).encode()
        await store.append([run_of("telemetry", "plant/m1", now_ms, payload)])
    engine = Engine(parse_rules(RULES + "  - {id: old, when: payload.x == 9}\n").rules)
    chunk = await store.fetch("telemetry", 0, 0)
    for output in engine.feed(chunk.batches):
        assert isinstance(output, Transition)
        run = run_of("alerts", output.topic, START_MS + 60_000, output.encode())
        await store.append([run])
    await store.append([run_of("alerts", "alerts/x", START_MS + 60_000, b"no alert")])
    await store.close()


@pytest.fixture
def log(tmp_path):
    asyncio.run(write_log(tmp_path / "data"))
    (tmp_path / "old.yaml").write_text(RULES)
    (tmp_path / "new.yaml").write_text(NEW)
    return tmp_path


def replay(folder, rules, *arguments):
    where = ["--data", str(folder / "data"), "--rules", str(folder / rules), "--diff"]
    result = CliRunner().invoke(app, ["replay", *where, "--tolerance", "500ms", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_running_set_differs_in_nothing_from_what_it_has_said(log):
    *lines, rate, others = replay(log, "old.yaml").stdout.splitlines()
    assert lines == [
        "rule       old       new      same   shifted  only old  only new",
        "hot          2         2         2         0         0         0",
        "cold         1         1         1         0         0         0",
    ]
    assert rate.startswith("10 records in ")
    assert others == "not compared, as the new set doesn't run them: old (1)"


def test_each_episode_that_differs_is_a_line(log):
    lines = replay(log, "new.yaml").stdout.splitlines()
    assert lines[:3] == [
        "+ 2023-11-14T22:13:26.000Z  cold  m1  warning  for 1s",
        "~ 2023-11-14T22:13:22.000Z  hot  m1  warning  for 1s  raised 1s later, cleared at the "
        "same time",
        "- 2023-11-14T22:13:24.000Z  hot  m1  warning  for 1s",
    ]


def test_two_sets_of_files_can_be_compared(log):
    recorded = replay(log, "new.yaml", "--json").stdout.splitlines()
    files = replay(log, "new.yaml", "--json", "--against", str(log / "old.yaml"))
    assert files.stdout.splitlines()[:-1] == recorded[:-1]
    summary = json.loads(recorded[-1])
    assert summary["summary"]["hot"] == {
        "old": 2, "new": 1, "same": 0, "shifted": 1, "only_old": 1, "only_new": 0,
    }  # fmt: skip
    shifted = json.loads(recorded[1])
    assert (shifted["change"], shifted["raised_later_ms"], shifted["cleared_later_ms"]) == (
        "shifted",
        1_000,
        0,
    )


def test_a_stretch_compares_only_what_it_holds(log):
    lines = replay(log, "new.yaml", "--from", "@7").stdout.splitlines()
    assert lines[-2].split() == ["cold", "1", "1", "1", "0", "0", "0"]


def test_a_tolerance_is_a_duration(log):
    assert replay(log, "new.yaml", "--tolerance", "soon").exit_code == 2
