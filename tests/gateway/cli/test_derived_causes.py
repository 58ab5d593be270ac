from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from gateway.cli.derived_causes import NOWHERE, cause_in
from gateway.cli.rules import app
from gateway.clock import ManualClock
from gateway.events import Origin, Run
from gateway.mqtt import Properties, encode_properties
from gateway.rules import Engine, Loopback, Transition, parse_rules
from gateway.store import StoreOptions, StreamSpec, open_store

START_MS = 1_700_000_000_000
RULES = """
version: 1
defaults: {from: plant/+, time: {by: event, field: payload.ts}}
rules:
  - {id: doubled, emit: {stream: doubled, on: event, fields: {x: payload.x * 2}}}
  - {id: again, from: rule:doubled, emit: {stream: again, on: event, fields: {x: payload.x * 2}}}
  - {id: hot, from: rule:again, when: payload.x > 20}
"""
VALUES = [3, 6, 9, 3, 6, 3]


def run_of(stream, topic, arrival_ms, payload, client="c", output_id=None):
    properties = None
    if output_id is not None:
        found = Properties(user_properties=(("penstock-id", output_id),))
        properties = [encode_properties(found)]
    origin = Origin(topic, "m1")
    return Run(stream, 0, client, arrival_ms, [origin], [payload], b"\x00", properties)


async def write_log(folder):
    """A log with derived records and alerts, as a gateway leaves it."""
    store = await open_store(StoreOptions(data_dir=folder), ManualClock(START_MS))
    for name in ("telemetry", "alerts", "ticks", "doubled", "again"):
        await store.ensure(StreamSpec(name, partitions=1))
    for number, value in enumerate(VALUES):
        now_ms = START_MS + number * 1_000
        payload = json.dumps({"ts": now_ms, "x": value}).encode()
        await store.append([run_of("telemetry", "plant/m1", now_ms, payload)])
    engine = Loopback(Engine(parse_rules(RULES).rules), ["doubled", "again"])
    for output in engine.feed((await store.fetch("telemetry", 0, 0)).batches):
        is_alert = isinstance(output, Transition)
        payload = output.encode() if is_alert else output.payload
        stream = "alerts" if is_alert else output.stream
        run = run_of(stream, output.topic, START_MS + 60_000, payload, "$rules", output.id)
        await store.append([run])
    await store.close()


@pytest.fixture
def log(tmp_path):
    asyncio.run(write_log(tmp_path / "data"))
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path


@pytest.mark.parametrize(("start", "episodes"), [("earliest", 2), ("@3", 1), ("@5", 0)])
def test_alerts_that_derived_records_brought_about_are_compared(log, start, episodes):
    where = ["--data", str(log / "data"), "--rules", str(log / "rules.yaml"), "--diff"]
    result = CliRunner().invoke(app, ["replay", *where, "--json", "--from", start])
    summary = json.loads(result.stdout.splitlines()[-1])["summary"]["hot"]
    assert (summary["old"], summary["new"], summary["same"]) == (episodes,) * 3


def test_an_id_names_its_cause_whatever_the_key_is():
    properties = Properties(user_properties=(("penstock-id", "r:a@b:1@plant:2:77:0"),))
    assert cause_in(encode_properties(properties)) == ("plant", 2, 77)


@pytest.mark.parametrize("told", [b"", b"\xff", b"\x26\x00\x0bpenstock-id\x00\x01x"])
def test_what_tells_no_cause_is_nowhere(told):
    assert cause_in(told) == NOWHERE
