"""Alarms as a dashboard and an operator see them: retained topics, acknowledged over MQTT."""

from __future__ import annotations

import json

import pytest
from paho.mqtt.client import MQTTv5, MQTTv311

from tests.harness.gateway_process import GatewayProcess, run_penstock
from tests.interop.paho_client import PahoClient

pytestmark = pytest.mark.interop

RULES = """
version: 1
rules:
  - id: hot
    from: plant/+
    when: payload.x > 5
    alarm: {severity: major, message: "{device} is hot", latch: true}
    publish: {topic: "seen/{device}", on: [acked]}
"""


def test_a_latched_alarm_is_acknowledged_over_mqtt_and_outlives_a_crash(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    with GatewayProcess(tmp_path / "data", rules=rules) as gateway:
        with PahoClient(gateway.port, "dashboard", MQTTv5) as dashboard:
            dashboard.subscribe(("alarms/#", 1))
            dashboard.publish("plant/pump-7", b'{"x": 9}', 1)
            (message,) = dashboard.receive()
            assert (message.topic, json.loads(message.payload)["state"]) == (
                "alarms/hot/pump-7",
                "raised",
            )
            dashboard.publish("plant/pump-7", b'{"x": 1}', 1)
            (message,) = dashboard.receive()
            assert json.loads(message.payload)["state"] == "cleared-unacked"
        gateway.kill()
        gateway.start()
        listed = run_penstock("alarms", "list", "--data", gateway.data, "--json")
        (alarm,) = [json.loads(line) for line in listed.stdout.splitlines()]
        assert (alarm["key"], alarm["state"]) == ("pump-7", "cleared-unacked")
        with (
            PahoClient(gateway.port, "late-dashboard", MQTTv5) as dashboard,
            PahoClient(gateway.port, "anna", MQTTv311) as operator,
        ):
            dashboard.subscribe(("alarms/+/+", 1), ("seen/+", 1))
            (retained,) = dashboard.receive()
            assert retained.retain
            assert json.loads(retained.payload)["state"] == "cleared-unacked"
            operator.publish("alarms/hot/pump-7/ack", b"", 1)
            found = {message.topic: message.payload for message in dashboard.receive(3)}
            assert found["alarms/hot/pump-7"] == b""
            assert json.loads(found["seen/pump-7"])["reason"] == "acknowledged by anna"
        assert run_penstock("alarms", "list", "--data", gateway.data).stdout == ""
