"""Alarms of the gateway itself: events in the stream `alerts`, shaped as those of the rules."""

from __future__ import annotations

from typing import Literal

import orjson

from gateway.events import Flag, Origin, Run

GATEWAY_CLIENT = "$gateway"
ALERTS_STREAM = "alerts"
Severity = Literal["info", "warning", "minor", "major", "critical"]


def notice(name: str, key: str, severity: Severity, message: str, now_ms: int) -> Run:
    """A run of one event on `alerts/gateway/<name>`, about `key`."""
    rule = f"gateway/{name}"
    payload = {
        "rule": rule,
        "key": key,
        "severity": severity,
        "event": "raised",
        "time": now_ms,
        "message": message,
        "id": f"{rule}/{key}/{now_ms}",
    }
    topic = f"alerts/{rule}"
    origin = Origin(topic, "gateway")
    flags = bytes((Flag.QOS_1,))
    return Run(ALERTS_STREAM, 0, GATEWAY_CLIENT, now_ms, [origin], [orjson.dumps(payload)], flags)
