"""kill -9 of the gateway while twins change and commands go out: each has its effects once."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict

import pytest

from gateway.devices import TWINS_TABLE, decode_twin, merged
from gateway.store import open_reader
from tests.faults.test_crashes import after
from tests.harness.gateway_process import GatewayProcess
from tests.harness.log_reader import read_log
from tests.harness.raw_client import connected
from tests.harness.waiting import wait_for

SEED = 20_260_104
DEVICES, ROUNDS, KILLS = 3, 12, 4
LIFE_S_MAX = 0.3
DRAIN_S_MAX = 60.0

pytestmark = pytest.mark.slow


def wishes(life):
    """What applications ask for in one life: topics and payloads, all different."""
    for number in range(life * ROUNDS, (life + 1) * ROUNDS):
        device = f"d{number % DEVICES}"
        yield f"twin/{device}/set", {"n": number, f"k{number % 5}": number}
        yield f"twin/{device}/reported", {"seen": number}
        yield f"command/{device}/send/c{number}", {"name": "ping", "payload": number}


def publish(gateway, messages):
    with connected(gateway.port) as client:
        messages = list(messages)
        for packet_id, (topic, payload) in enumerate(messages, start=1):
            client.publish(topic, json.dumps(payload).encode(), packet_id=packet_id)
        client.read_acks(len(messages))


def events_of(gateway, stream, verb):
    return [event for event in read_log(gateway.data, stream) if event.topic.split("/")[2] == verb]


async def twins_of(data):
    reader = await open_reader(data)
    try:
        found = await reader.entries(TWINS_TABLE)
    finally:
        await reader.close()
    return {device: decode_twin(encoded) for device, encoded in found}


def check_twins(gateway, total):
    sides = defaultdict(dict)
    versions = defaultdict(int)
    for event in events_of(gateway, "twins", "changed"):
        place = event.topic.split("/")[1], event.payload["part"]
        versions[place] += 1
        assert event.payload["version"] == versions[place], place
        sides[place] = merged(sides[place], event.payload["patch"])
        assert event.payload["value"] == sides[place]
    assert sum(versions.values()) == 2 * total
    for device, twin in asyncio.run(twins_of(gateway.data)).items():
        assert twin.desired == sides[device, "desired"]
        assert twin.reported == sides[device, "reported"]


def obey(gateway, device, count):
    """Be a device that was away: hear all that is new, and answer each request."""
    with connected(gateway.port, client_id=device) as client:
        client.subscribe((f"twin/{device}/delta", 1), (f"command/{device}/request/+", 1))
        heard = client.collect(count + 1)
        requests = [one.topic for one in heard if "/request/" in one.topic]
        for packet_id, topic in enumerate(requests, start=1):
            answer = b'{"status": 200, "result": "pong"}'
            client.publish(topic.replace("request", "response"), answer, packet_id=packet_id)
        client.read_acks(len(requests))
    (delta,) = [json.loads(one.payload) for one in heard if one.topic.endswith("/delta")]
    return delta["delta"], [topic.rpartition("/")[2] for topic in requests]


def test_each_change_and_each_command_counts_once_whenever_the_gateway_is_killed(tmp_path):
    chance, total = random.Random(SEED), KILLS * ROUNDS
    with GatewayProcess(tmp_path / "log") as gateway:
        for life in range(KILLS):
            publish(gateway, wishes(life))
            wait_for(after(chance.uniform(0, LIFE_S_MAX)), "the moment of the kill")
            gateway.kill()
            gateway.start()
        wait_for(
            lambda: len(events_of(gateway, "commands", "event")) >= total,
            "every command",
            seconds=DRAIN_S_MAX,
        )
        check_twins(gateway, total)
        twins = asyncio.run(twins_of(gateway.data))
        for number in range(DEVICES):
            device = f"d{number}"
            delta, requests = obey(gateway, device, total // DEVICES)
            assert delta == twins[device].desired
            assert requests == [f"c{one}" for one in range(number, total, DEVICES)]
        wait_for(
            lambda: len(events_of(gateway, "commands", "event")) >= 3 * total,
            "every answer",
            seconds=DRAIN_S_MAX,
        )
        gateway.kill()
        gateway.start()
        states = defaultdict(list)
        for event in events_of(gateway, "commands", "event"):
            states[event.payload["id"]].append(event.payload["state"])
        assert states == {f"c{one}": ["queued", "sent", "answered"] for one in range(total)}
