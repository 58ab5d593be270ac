"""Devices that enrol themselves over TLS, with Mosquitto's programs and nothing of ours."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.harness.waiting import wait_for
from tests.interop.test_access import Plant

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not (shutil.which("mosquitto_rr") and shutil.which("openssl")),
        reason="mosquitto_rr or openssl is not installed",
    ),
]
TOKEN = """
hmac() { openssl dgst -sha256 -r "$@" | cut -d' ' -f1; }
signing=$(printf penstock-token | hmac -hmac "$1")
token="group=fleet&device=van-7&expires=$(( $(date +%s) + 28800 ))"
printf %s "$token&sig=$(printf %s "$token" | hmac -mac HMAC -macopt "hexkey:$signing")"
"""


@pytest.fixture
def plant(tmp_path):
    found = Plant(tmp_path)
    found.groups = {
        name: json.loads(found.devices("enrol", "create", name, "--json", *options))["key"]
        for name, options in {
            "line": ("--pattern", "pump-*"),
            "fleet": ("--pattern", "van-*", "--kind", "token"),
            "ca": ("--pattern", "valve-*", "--ca", str(tmp_path / "ca.pem")),
        }.items()
    }
    with found.gateway:
        yield found
        assert "Traceback" not in found.gateway.output


def ask(plant, version):
    login = ["-V", version, "-i", "pump-7", "-u", "enrol/line", "-P", plant.groups["line"]]
    topics = ["-t", "enrol/pump-7/request", "-e", "enrol/pump-7/response", "-n", "-q", "1"]
    return plant.mosquitto("mosquitto_rr", *login, *topics, "-W", "5")


def publish(plant, device, *login):
    message = ["-i", device, "-t", f"plant/{device}/t", "-m", "1", "-q", "1"]
    return plant.mosquitto("mosquitto_pub", *login, *message).returncode


def test_bare_clients_enrol_and_come_in(plant):
    answers = {}

    def enrols(version):
        found = ask(plant, version)
        answers[version] = json.loads(found.stdout or "{}")
        return answers[version].get("status") == "enrolled"

    # The gateway may still be starting, and says so.
    wait_for(lambda: enrols("mqttv311"), "its key")
    wait_for(lambda: enrols("mqttv5"), "another one")
    old, new = (answers[version]["key"] for version in ("mqttv311", "mqttv5"))
    assert publish(plant, "pump-7", "-u", "pump-7", "-P", old) != 0
    assert publish(plant, "pump-7", "-u", "pump-7", "-P", new) == 0
    # From now on the claim key opens it no more.
    assert ask(plant, "mqttv311").returncode != 0
    assert publish(plant, "pump-7", "-u", "pump-7", "-P", new) == 0

    token = subprocess.run(
        ["sh", "-c", TOKEN, "sh", plant.groups["fleet"]], capture_output=True, text=True, check=True
    ).stdout
    assert publish(plant, "van-7", "-u", "van-7", "-P", token) == 0
    assert publish(plant, "van-8", "-u", "van-8", "-P", token) != 0

    for name in ("valve-1", "pump-8"):
        leaf = plant.certificates.client_leaf(name)
        leaf.cert_chain_pems[0].write_to_path(plant.folder / "own.pem")
        leaf.private_key_pem.write_to_path(plant.folder / "own.key")
        own = ["--cert", str(plant.folder / "own.pem"), "--key", str(plant.folder / "own.key")]
        assert (publish(plant, name, *own) == 0) is (name == "valve-1")
    lines = plant.devices("list", "--json").splitlines()
    groups = {one["device"]: one["group"] for one in map(json.loads, lines)}
    assert groups == {"pump-7": "line", "van-7": "fleet", "valve-1": "ca"}
