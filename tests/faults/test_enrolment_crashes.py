"""kill -9 of the gateway while devices enrol: each ends up with one key that opens, for good."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from threading import Timer

import pytest

from tests.harness.gateway_process import GatewayProcess, run_penstock
from tests.harness.raw_client import (
    CONNACK,
    CONNECT,
    RawClient,
    encode_packet,
    encode_string,
)
from tests.harness.waiting import wait_for

SEED = 20_260_119
DEVICES, KILLS = 8, 3
LIFE_S_MAX = 0.25

pytestmark = pytest.mark.slow


def log_in(client, username, password):
    """Say CONNECT with credentials; returns the return code."""
    body = encode_string("MQTT") + bytes([4, 0b11000010]) + (0).to_bytes(2, "big")
    body += b"".join(map(encode_string, (client.client_id, username, password)))
    client.send(encode_packet(CONNECT, 0, body))
    return client.expect(CONNACK).body[1]


def enrol(gateway, device, claim):
    """Ask for a key; returns the answer."""
    with RawClient(gateway.port, device) as client:
        assert log_in(client, "enrol/line", claim) == 0
        client.subscribe((f"enrol/{device}/response", 0))
        client.publish(f"enrol/{device}/request", b"", packet_id=1)
        (answer,) = client.collect(1)
        return json.loads(answer.payload)


def comes_in(gateway, device, key):
    with RawClient(gateway.port, device) as client:
        return log_in(client, device, key) == 0


def test_a_device_has_the_key_that_it_was_told_last_whenever_the_gateway_dies(tmp_path):
    rng = random.Random(SEED)
    config = tmp_path / "gateway.yaml"
    config.write_text("access: {anonymous: loopback}\n")
    gateway = GatewayProcess(tmp_path / "log", config=config)
    options = ("--pattern", "d*", "--json", "--data", gateway.data)
    claim = json.loads(run_penstock("devices", "enrol", "create", "line", *options).stdout)["key"]
    keys, used = {}, set()
    names = [f"d{number}" for number in range(DEVICES)]
    with gateway:
        for _ in range(KILLS):
            killing = Timer(rng.uniform(0.01, LIFE_S_MAX), gateway.kill)
            killing.start()
            # What is said while it dies is lost; what it answered before counts.
            with suppress(OSError):
                while not killing.finished.is_set():
                    settle(gateway, names, claim, keys, used)
            killing.join()
            gateway.start()
        wait_for(lambda: settle(gateway, names, claim, keys, used), "every device")
        assert used == set(names)
        # Whoever has come in comes in again, and the claim key takes nothing back.
        assert all(comes_in(gateway, name, keys[name]) for name in names)
        with RawClient(gateway.port, "d0") as client:
            assert log_in(client, "enrol/line", claim) == 5


def settle(gateway, names, claim, keys, used):
    """Do for each device what it would do next; says whether all have come in."""
    for name in names:
        if name in used:
            assert comes_in(gateway, name, keys[name])
            continue
        if name in keys and comes_in(gateway, name, keys[name]):
            used.add(name)
            continue
        found = enrol(gateway, name, claim)
        if found["status"] == "enrolled":
            keys[name] = found["key"]
    return len(used) == len(names)
