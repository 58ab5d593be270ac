from __future__ import annotations

import asyncio
import json

import orjson
import pytest
from msgspec import msgpack
from typer.testing import CliRunner

from gateway.cli.rules import app
from gateway.clock import ManualClock
from gateway.events import Origin, Run
from gateway.rules import Engine, Transition, parse_rules
from gateway.store import Put, StoreOptions, StreamSpec, open_store

START_MS = 1_700_000_000_000
RULES = """
version: 1
rules:
  - {id: hot, from: plant/+, when: payload.x > 5}
  - {id: cold, from: plant/+, when: payload.x < 0}
  - {id: idle, enabled: false, from: plant/+, when: payload.x < 0}
"""


def run_of(stream, topic, payload):
    return Run(stream, 0, "c", START_MS, [Origin(topic, topic[-2:])], [payload], b"\x00")


async def write_log(folder):
    """A log as a gateway leaves it: two alarms of `hot`, and `cold` has failed."""
    store = await open_store(StoreOptions(data_dir=folder), ManualClock(START_MS))
    for name in ("telemetry", "alerts", "late-hot"):
        await store.ensure(StreamSpec(name, partitions=1))
    for topic, value in (("plant/m1", 9), ("plant/m2", 7), ("plant/m2", 1), ("plant/m3", 9)):
        await store.append([run_of("telemetry", topic, json.dumps({"x": value}).encode())])
    await store.append([run_of("late-hot", "plant/m1", b"{}")])
    engine = Engine(parse_rules(RULES).rules)
    for output in engine.feed((await store.fetch("telemetry", 0, 0)).batches):
        assert isinstance(output, Transition)
        standing = None if output.state == "idle" else output.encode()
        put = Put("alarms", output.standing_topic, standing)
        await store.append([run_of("alerts", output.topic, output.encode())], [put])
    entries = dict(engine.snapshot())
    version, clock_ms, rules = msgpack.decode(entries["engine"])
    rules["cold"][2] = True
    await store.append([], [Put("rules", "engine", msgpack.encode([version, clock_ms, rules]))])
    await store.append([], [Put("rules", "counters", entries["counters"])])
    error = {"rule": "gateway/rule-error", "key": "cold", "state": "raised", "message": "broken"}
    await store.append([], [Put("alarms", "alarms/gateway/rule-error/cold", orjson.dumps(error))])
    await store.close()


@pytest.fixture
def log(tmp_path):
    asyncio.run(write_log(tmp_path / "data"))
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path


def listed(folder, *arguments):
    result = CliRunner().invoke(app, ["list", "--data", str(folder / "data"), *arguments])
    assert result.exit_code == 0, result.exception
    return result.stdout.splitlines()


def test_each_rule_has_its_alarms_its_last_step_and_its_health(log):
    cold, error, hot = listed(log)
    assert cold == "cold  degraded  no alarm  4 events  broken"
    assert error == "gateway/rule-error  ok  1 raised"
    assert hot == (
        "hot  ok  2 raised  last raised m3 at 2023-11-14T22:13:20.000Z  "
        "4 events  1 set aside as late or early"
    )


def test_rules_of_files_come_first_and_with_what_they_are(log):
    (log / "rules.yaml").write_text(RULES.replace("> 5", "> 6"))
    hot, _, idle, *rest = listed(log, str(log / "rules.yaml"))
    assert hot.endswith("the file has another version")
    assert idle == "idle  disabled  no alarm"
    assert [line.split()[0] for line in rest] == ["gateway/rule-error"]


def test_it_speaks_json(log):
    hot, cold, idle, _ = map(json.loads, listed(log, str(log / "rules.yaml"), "--json"))
    assert hot["alarms"] == {"raised": 2, "acked": 0, "cleared-unacked": 0, "shelved": 0}
    assert (hot["last"]["event"], hot["last"]["key"], hot["side_events"]) == ("raised", "m3", 1)
    assert hot["hash"] == hot["hash_of_file"]
    assert hot["counters"] == {"evaluated": 4, "raised": 3}
    assert (cold["health"], cold["fault"]) == ("degraded", "broken")
    assert (idle["health"], idle["last"], idle["side_events"]) == ("not seen yet", None, None)


def test_a_list_is_of_files_or_of_a_gateway():
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 2
