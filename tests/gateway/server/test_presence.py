from __future__ import annotations

from types import SimpleNamespace

import orjson
import pytest

from gateway.clock import ManualClock
from gateway.routing import Retained, RetainedLimits, RetainedMessages
from gateway.server.presence import Presence


@pytest.fixture
def runs():
    return []


@pytest.fixture
def presence(runs):
    return Presence(runs.extend, ManualClock(10**12))


class Connection:
    host = "h"

    def __init__(self, reason=""):
        self.session = SimpleNamespace(end_reason=reason)


connection = Connection


def said(runs):
    return [
        (found["device"], found["state"], found.get("reason"))
        for found in (orjson.loads(run.payloads[0]) for run in runs)
    ]


def test_the_first_client_comes_and_the_last_leaves(presence, runs):
    first, second, stranger = connection(), connection("it left"), connection()
    presence.enter(first, "p", "p")
    presence.enter(second, "p", "p/2")
    presence.leave(first)
    presence.leave(stranger)
    presence.leave(second)
    assert said(runs) == [("p", "connected", None), ("p", "disconnected", "it left")]
    assert [run.flags for run in runs] == [b"\x03", b"\x03"]


def test_everybody_leaves_with_the_gateway(presence, runs):
    presence.enter(connection(), "p", "p")
    presence.enter(connection(), "q", "q")
    presence.stop()
    assert said(runs)[2:] == [
        ("p", "disconnected", "the gateway stopped"),
        ("q", "disconnected", "the gateway stopped"),
    ]


def test_who_was_here_when_an_earlier_run_ended_has_left(presence, runs):
    retained = RetainedMessages(RetainedLimits())
    for device, state in (("p", "connected"), ("q", "disconnected")):
        payload = orjson.dumps({"device": device, "state": state})
        retained.put(f"presence/{device}", Retained(payload, 3, b"", "$gateway", 0))
    presence.restore(retained)
    assert said(runs) == [("p", "disconnected", "the gateway stopped")]
