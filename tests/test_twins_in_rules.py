"""Rules that read tags and twins in a running gateway, and the same from the log afterwards."""

from __future__ import annotations

import asyncio
import json

from gateway.errors import PenstockError
from gateway.store import open_reader
from tests.harness.gateway_process import GatewayProcess, run_penstock
from tests.harness.raw_client import connected
from tests.harness.service_desk import run
from tests.harness.waiting import wait_for

PATIENCE_S = 60.0
RULES = """\
version: 1
rules:
  - id: too-hot
    from: plant/#
    when: payload.temperature > twin.desired.limit && tags.site == "north"
    alarm: {severity: major, message: "{device} in {tags.site} is above {twin.desired.limit}"}
"""


def want(gateway, patch):
    """Change the twin, as soon as the gateway's socket is open."""

    def is_set():
        try:
            return run(gateway.data, "twin", "pump-7", "--set", json.dumps(patch))
        except PenstockError:
            return ""

    wait_for(is_set, "the gateway")


def publish(gateway, temperature):
    with connected(gateway.port) as client:
        payload = json.dumps({"temperature": temperature}).encode()
        client.publish("plant/pump-7/t", payload, packet_id=1)
        client.read_acks(1)


async def records(gateway, stream):
    reader = await open_reader(gateway.data)
    try:
        chunk = await reader.fetch(stream, 0, 0)
    finally:
        await reader.close()
    return [record for batch in chunk.batches for record in batch.records()]


def parts(gateway):
    found = asyncio.run(records(gateway, "twins"))
    return [json.loads(one.payload)["part"] for one in found if one.topic.endswith("/changed")]


def alerts(gateway):
    return [json.loads(one.payload) for one in asyncio.run(records(gateway, "alerts"))]


def test_a_rule_reads_what_was_true_and_a_replay_says_the_same(tmp_path):
    rules, config = tmp_path / "rules.yaml", tmp_path / "gateway.yaml"
    rules.write_text(RULES)
    config.write_text("version: 1\naccess: {anonymous: loopback}\n")
    with GatewayProcess(tmp_path / "log", rules=rules, config=config) as gateway:
        publish(gateway, 95)
        want(gateway, {"limit": 90})
        run(gateway.data, "add", "pump-7", "--tag", "site=north")
        wait_for(lambda: "tags" in parts(gateway), "the tags", seconds=PATIENCE_S)
        publish(gateway, 95)
        wait_for(lambda: len(alerts(gateway)) == 1, "the alarm", seconds=PATIENCE_S)
        want(gateway, {"limit": 99})
        publish(gateway, 95)
        wait_for(lambda: len(alerts(gateway)) == 2, "its end", seconds=PATIENCE_S)
        assert gateway.terminate() == 0
        raised, cleared = alerts(gateway)
    assert (raised["event"], raised["message"]) == ("raised", "pump-7 in north is above 90")
    assert cleared["event"] == "cleared"
    done = run_penstock("rules", "replay", "--data", gateway.data, "--rules", rules, "--json")
    assert done.returncode == 0, done.stderr
    replayed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["id"] for one in replayed] == [raised["id"], cleared["id"]]
    assert [one["message"] for one in replayed] == [raised["message"], cleared["message"]]
