from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from gateway.cli.rule_questions import NotExplained
from gateway.cli.rules import app
from gateway.clock import ManualClock
from gateway.events import Origin, Run
from gateway.rules import Engine, load_rules
from gateway.store import Put, StoreOptions, StreamSpec, open_store

START_MS = 1_700_000_000_000
RULES = """
version: 1
defaults: {from: plant/+, time: {by: event, field: payload.ts}}
rules:
  - id: hot
    window: {sliding: 10s, min_samples: 2}
    aggregate: {mean: avg(payload.x)}
    when: mean > 5 && payload.on
    for: 2s
    alarm: {message: "{device}: {mean:.1f}"}
    suppress: {cooldown: 1h}
  - {id: rests, when: payload.x > 5, enabled: false}
"""
VALUES = [3, 6, 4.7, 2, 9, 9, 9, 9, 0, 0, 0, 9, 9, 9, 9, 9, 9]
ALERT = "hot:m1@telemetry:0:6:0"


def run_of(number, payload, topic="plant/m1"):
    now_ms = START_MS + number * 1_000
    origin = Origin(topic, "m1")
    return Run("telemetry", 0, "c", now_ms, [origin], [json.dumps(payload).encode()], b"\x00")


async def write_log(folder):
    """A log as a gateway leaves it that has stopped: with alerts, and the state of its rules.

    The last record came after the last checkpoint.
    """
    store = await open_store(StoreOptions(data_dir=folder / "data"), ManualClock(START_MS))
    for name in ("telemetry", "alerts", "ticks", "alarms"):
        await store.ensure(StreamSpec(name, partitions=1))
    for number, value in enumerate(VALUES):
        payload = {"ts": START_MS + number * 1_000, "x": value, "on": True}
        await store.append([run_of(number, payload)])
    engine = Engine(load_rules([folder / "rules.yaml"]).rules)
    outputs = engine.feed((await store.fetch("telemetry", 0, 0)).batches)
    alerts = [
        Run("alerts", 0, "$rules", START_MS, [Origin(o.topic, "m1")], [o.encode()], b"\x00")
        for o in outputs
    ]
    member = store.join("rules", ["telemetry"])
    state = [Put("rules", name, value) for name, value in engine.snapshot()]
    await member.commit(outputs=alerts, state=state, offsets={("telemetry", 0): len(VALUES)})
    await member.close()
    await store.append([run_of(len(VALUES), {"ts": START_MS + len(VALUES) * 1_000, "x": 9})])
    await store.close()


@pytest.fixture
def log(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)
    asyncio.run(write_log(tmp_path))
    return tmp_path


def ask(folder, *arguments):
    where = ["--data", str(folder / "data"), "--rules", str(folder / "rules.yaml")]
    result = CliRunner().invoke(app, [*map(str, arguments), *where])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_rule_explains_each_part_of_its_condition(log):
    found = json.loads(ask(log, "explain", "hot", "--key", "m1", "--json").stdout)
    assert found["from"] == "the saved state, and the log since"
    assert found["window"]["kind"] == "sliding"
    (when,) = [one for one in found["expressions"] if one["role"] == "when"]
    parts = {part["text"]: part for part in when["parts"]}
    assert when["offset"] == len(VALUES)
    assert parts["payload.on"]["value"] == "unknown"
    assert parts["payload.on"]["why"] == "payload has no field 'on'"
    assert parts["mean > 5"]["value"] is True
    assert parts["mean"]["is_unknown"] is False


def test_what_almost_happened_is_told(log):
    near = json.loads(ask(log, "explain", "hot", "--key", "m1", "--json").stdout)["near_misses"]
    assert near[0]["what"].startswith("mean > 5 && payload.on was ")
    assert near[0]["offset"] == 2


def test_the_past_can_be_explained_from_the_log_alone(log):
    lines = ask(log, "explain", "hot", "--key", "m1", "--at", "@6").stdout.splitlines()
    assert lines[0] == "hot m1: pending (by the log)"
    assert "  phase: pending" in lines
    assert any(line.startswith("when at ") for line in lines)
    nothing = ask(log, "explain", "hot", "--key", "m9").stdout
    assert "nothing is remembered of this key" in nothing


def test_a_rule_that_does_not_run_is_not_explained(log):
    with pytest.raises(NotExplained, match="no rule 'rests' runs"):
        ask(log, "explain", "rests", "--key", "m1")
    assert ask(log, "explain", "hot", "--at", "soon").exit_code == 2


def alert_ids(log):
    async def read():
        from gateway.cli.rule_questions import read_alerts
        from gateway.store import open_reader

        reader = await open_reader(log / "data")
        found = [alert async for _, alert in read_alerts(reader)]
        await reader.close()
        return found

    return asyncio.run(read())


def test_an_alert_is_derived_again_to_the_byte(log):
    alerts = alert_ids(log)
    assert [alert["event"] for alert in alerts][:2] == ["raised", "cleared"]
    for alert in alerts:
        found = json.loads(ask(log, "why", alert["id"], "--json").stdout)
        assert found["is_exact"], found
        assert found["rule_hash"] == found["hash_now"]
    found = json.loads(ask(log, "why", alerts[0]["id"], "--json").stdout)
    assert (found["before"]["state"], found["after"]["state"]) == (["pending"], ["raised"])
    assert found["inputs"]["count"] > 1
    lines = ask(log, "why", alerts[0]["id"]).stdout.splitlines()
    assert lines[-1] == "derived again from the log: the same bytes"


def test_a_rule_that_has_changed_says_so(log):
    (alert, *_) = alert_ids(log)
    (log / "rules.yaml").write_text(RULES.replace("{mean:.1f}", "{mean:.2f}"))
    result = ask(log, "why", alert["id"])
    assert result.exit_code == 1
    assert "derived again from the log, but not the same: message, rule_hash" in result.stdout
    assert "the rule has changed since" in result.stdout
    (log / "rules.yaml").write_text(RULES.replace("mean > 5", "mean > 50"))
    assert "it doesn't come of the log again" in ask(log, "why", alert["id"]).stdout


def test_an_alert_that_is_not_there_is_not_derived(log):
    with pytest.raises(NotExplained, match="no alert 'x' in the log"):
        ask(log, "why", "x")
