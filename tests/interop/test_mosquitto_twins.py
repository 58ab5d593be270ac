"""A device made of mosquitto's commands, MQTT 3.1.1: it sees its twin change, and obeys."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading

import pytest

from gateway.errors import PenstockError
from tests.harness.service_desk import run
from tests.harness.waiting import wait_for

TOOLS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr")
SECONDS = 60

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not all(map(shutil.which, TOOLS)), reason="mosquitto's commands are not installed"
    ),
]


def mosquitto(gateway, tool, *arguments):
    """Run one of the commands to its end; returns what it prints."""
    place = [f"mosquitto_{tool}", "-V", "mqttv311", "-h", "127.0.0.1", "-p", str(gateway.port)]
    done = subprocess.run(
        [*place, "-q", "1", *arguments], capture_output=True, text=True, timeout=SECONDS, check=True
    )
    return done.stdout


def penstock(gateway, *arguments):
    """Run a command of `penstock devices`; empty until the gateway's socket is open."""
    try:
        return run(gateway.data, *arguments, "--json")
    except PenstockError:
        return ""


def test_it_sees_its_twin_and_reports(gateway):
    assert wait_for(
        lambda: penstock(gateway, "twin", "m1", "--set", '{"interval_s": 5}'), "the gateway"
    )
    listening = ("-i", "m1", "-t", "twin/m1/desired", "-t", "twin/m1/delta", "-C", "2")
    heard = [json.loads(line) for line in mosquitto(gateway, "sub", *listening).splitlines()]
    assert sorted(heard, key=str) == [
        {"version": 1, "delta": {"interval_s": 5}},
        {"version": 1, "desired": {"interval_s": 5}},
    ]
    mosquitto(gateway, "pub", "-t", "twin/m1/reported", "-m", '{"interval_s": 5}')
    asking = ("-t", "twin/m1/get", "-e", "twin/m1/state", "-m", "hello", "-W", "30")
    state = json.loads(mosquitto(gateway, "rr", *asking))
    assert (state["request"], state["reported"]) == ("hello", {"interval_s": 5})
    shown = json.loads(penstock(gateway, "twin", "m1"))
    assert (shown["etag"], shown["is_told"]) == ("1.1", True)


def test_it_obeys_and_an_application_commands_it(gateway):
    answers = []

    def obey():
        listening = ("-i", "m2", "-t", "command/m2/request/+", "-C", "1", "-F", "%t")
        topic = mosquitto(gateway, "sub", *listening).strip()
        answers.append(topic)
        answer = ("-t", topic.replace("request", "response"), "-m", '{"status": 200}')
        mosquitto(gateway, "pub", *answer)

    device = threading.Thread(target=obey)
    device.start()
    try:
        command = ("-t", "command/m2/send/c1", "-m", '{"name": "ping", "timeout_ms": 60000}')
        mosquitto(gateway, "pub", *command)

        def is_answered():
            return '"answered"' in penstock(gateway, "command", "m2")

        wait_for(is_answered, "the answer")
    finally:
        device.join(SECONDS)
    assert answers == ["command/m2/request/c1"]


def test_nobody_speaks_in_the_name_of_the_gateway(gateway):
    mosquitto(gateway, "pub", "-t", "twin/m3/desired", "-r", "-m", '{"version": 9, "desired": {}}')
    listening = ("-t", "twin/m3/desired", "-C", "1", "-W", "1")
    with pytest.raises(subprocess.CalledProcessError):
        mosquitto(gateway, "sub", *listening)
