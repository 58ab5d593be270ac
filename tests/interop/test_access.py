"""A device with its own key over TLS, as a stranger connects it: with paho and with mosquitto."""

from __future__ import annotations

import json
import shutil
import subprocess

import paho.mqtt.client as mqtt
import pytest

from tests.harness.certificates import Certificates
from tests.harness.gateway_process import GatewayProcess, free_port, run_penstock
from tests.harness.log_reader import read_log
from tests.harness.waiting import wait_for

WAIT_S = 15
DENIED = 0x87

pytestmark = pytest.mark.interop
needs_mosquitto = pytest.mark.skipif(
    not shutil.which("mosquitto_pub"), reason="mosquitto_pub is not installed"
)


class Plant:
    """A gateway with TLS, its certificates, and the keys of its devices."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.tls_port = free_port()
        self.certificates = Certificates(folder)
        self.certificates.server_ca.cert_pem.write_to_path(folder / "authority.pem")
        config = folder / "gateway.yaml"
        config.write_text(
            f"listen: [{{port: {self.tls_port}, tls: {{certificate: server.pem, key: server.key, "
            "ca: ca.pem, client_certificates: optional}}]\n"
            "access: {credentials: required, anonymous: loopback}\n"
        )
        self.gateway = Listening(folder / "log", config=config)

    def devices(self, *arguments: str) -> str:
        found = run_penstock("devices", *arguments, "--data", self.gateway.data)
        assert found.returncode == 0, found.stderr
        return found.stdout

    def key(self, device: str) -> str:
        return json.loads(self.devices("add", device, "--json"))["key"]

    def mosquitto(self, program: str, *options: str) -> subprocess.CompletedProcess:
        place = ["-h", "localhost", "-p", str(self.tls_port)]
        trust = ["--cafile", str(self.folder / "authority.pem")]
        command = [program, *place, *trust, *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)


class Listening(GatewayProcess):
    """A gateway that listens where its configuration says."""

    def command(self) -> list[str]:
        command = super().command()
        at = command.index("--host")
        return [*command[:at], *command[at + 4 :]]

    lives = 0

    def spawn(self) -> None:
        self.lives += 1
        super().spawn()

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.output.count("data in") >= self.lives, "the gateway to listen")


@pytest.fixture
def plant(tmp_path):
    found = Plant(tmp_path)
    with found.gateway:
        yield found
        assert "Traceback" not in found.gateway.output


def paho(plant, device, key):
    """A paho client that has been let in."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=device, protocol=mqtt.MQTTv5)
    client.username_pw_set(device, key)
    client.tls_set(str(plant.folder / "authority.pem"))
    client.ended = []
    client.on_disconnect = lambda _c, _u, _f, code, _p: client.ended.append(code.value)
    client.connect("localhost", plant.tls_port)
    client.loop_start()
    wait_for(client.is_connected, "paho to be let in")
    return client


def test_paho_publishes_over_tls_with_its_own_key_until_it_is_disabled(plant):
    client = paho(plant, "pump-7", plant.key("pump-7"))
    codes = {}
    client.on_publish = lambda _c, _u, number, code, _p: codes.update({number: code.value})
    own = client.publish("plant/pump-7/telemetry", "21.5", qos=1).mid
    other = client.publish("plant/pump-8/telemetry", "0", qos=1).mid
    wait_for(lambda: len(codes) == 2, "both answers")
    assert (codes[own], codes[other]) == (0, DENIED)
    plant.devices("disable", "pump-7")
    wait_for(lambda: client.ended, "the end of a device that is disabled")
    client.loop_stop()
    (event,) = read_log(plant.gateway.data, "telemetry")
    assert (event.topic, event.payload) == ("plant/pump-7/telemetry", 21.5)


@needs_mosquitto
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_pub_needs_the_key(plant, version):
    login = ["-V", version, "-i", "pump-7", "-u", "pump-7", "-t", "plant/pump-7/t", "-m", "1"]
    key = plant.key("pump-7")
    assert plant.mosquitto("mosquitto_pub", *login, "-q", "1", "-P", key).returncode == 0
    assert plant.mosquitto("mosquitto_pub", *login, "-q", "1", "-P", key + "x").returncode != 0


@needs_mosquitto
def test_mosquitto_pub_shows_a_certificate(plant):
    leaf = plant.certificates.client_leaf("pump-9")
    leaf.cert_chain_pems[0].write_to_path(plant.folder / "own.pem")
    leaf.private_key_pem.write_to_path(plant.folder / "own.key")
    own = ["--cert", str(plant.folder / "own.pem"), "--key", str(plant.folder / "own.key")]
    message = ["-i", "pump-9", "-q", "1", "-t", "plant/pump-9/t", "-m", "1"]
    assert plant.mosquitto("mosquitto_pub", *own, *message).returncode != 0
    plant.devices("add", "pump-9", "--certificate")
    found = plant.mosquitto("mosquitto_pub", *own, *message)
    assert found.returncode == 0, found.stderr


def test_a_registry_and_presence_survive_a_crash(plant):
    key = plant.key("pump-7")
    client = paho(plant, "pump-7", key)
    wait_for(lambda: read_log(plant.gateway.data, "presence"), "the event of its coming")
    plant.gateway.kill()
    client.loop_stop()
    plant.gateway.start()
    wait_for(lambda: len(read_log(plant.gateway.data, "presence")) > 1, "the event of its end")
    events = [event.payload for event in read_log(plant.gateway.data, "presence")]
    assert [event["state"] for event in events] == ["connected", "disconnected"]
    assert events[1]["reason"] == "the gateway stopped"
    again = paho(plant, "pump-7", key)
    again.disconnect()
    again.loop_stop()
