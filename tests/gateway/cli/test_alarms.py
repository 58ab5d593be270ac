from __future__ import annotations

import json

import pytest

from tests.harness.gateway_process import GatewayProcess, run_penstock
from tests.harness.log_reader import read_log
from tests.harness.raw_client import connected
from tests.harness.waiting import wait_for

RULES = """
version: 1
rules:
  - {id: hot, from: plant/+, when: payload.x > 5, alarm: {message: "{device} is hot"}}
"""


def listed(gateway):
    found = run_penstock("alarms", "list", "--data", gateway.data, "--json")
    return {
        (alarm["rule"], alarm["key"]): alarm["state"]
        for alarm in map(json.loads, found.stdout.splitlines())
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alarms")
    (folder / "rules.yaml").write_text(RULES)
    with GatewayProcess(folder / "data", rules=folder / "rules.yaml") as running:
        yield running


def test_an_operator_works_beside_a_running_gateway_and_on_a_stopped_one(gateway):
    place = ("--data", gateway.data, "--port", str(gateway.port))
    with connected(gateway.port, "pumps") as client:
        client.publish("plant/p1", b'{"x": 9}')
        client.publish("plant/p2", b'{"x": 9}')
    wait_for(lambda: len(listed(gateway)) == 2, "the alarms")
    unknown = run_penstock("alarms", "ack", "hot", "p3", *place)
    assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1)
    assert "no alarm 'hot p3' is up, did you mean 'hot p" in unknown.stderr
    found = run_penstock("alarms", "ack", "hot", "p1", "--comment", "on my way", *place)
    assert found.stdout == "ack of hot p1 is in the log\n", found.stderr
    run_penstock("alarms", "shelve", "hot", "p2", "--for", "2h", *place)
    states = {("hot", "p1"): "acked", ("hot", "p2"): "shelved"}
    wait_for(lambda: listed(gateway) == states, "the states")
    assert gateway.terminate() == 0
    found = run_penstock("alarms", "unshelve", "hot", "p2", *place)
    assert found.stdout == "unshelve of hot p2 waits for the gateway's start\n", found.stderr
    assert listed(gateway) == states
    gateway.start()
    wait_for(lambda: listed(gateway) == {**states, ("hot", "p2"): "raised"}, "the message")
    reasons = [event.payload["reason"] for event in read_log(gateway.data, "alerts")]
    assert any(reason.endswith("(on my way)") for reason in reasons)


def test_what_cannot_be_done_is_said_in_one_line(tmp_path):
    for arguments in (
        ("list", "--data", tmp_path / "none"),
        ("ack", "hot", "--data", tmp_path / "none"),
        ("shelve", "hot", "--for", "soon", "--data", tmp_path / "none"),
    ):
        found = run_penstock("alarms", *arguments)
        assert found.returncode in (1, 2)
        assert found.stderr.startswith("penstock: ")
        assert found.stderr.count("\n") == 1
