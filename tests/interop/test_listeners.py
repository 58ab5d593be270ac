"""Third-party clients over every kind of listener, against a gateway in a process of its own."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess

import pytest
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from tests.harness.certificates import Certificates
from tests.harness.gateway_process import GatewayProcess, free_port
from tests.harness.raw_client import RawClient
from tests.harness.waiting import wait_for

WAIT_S = 15
PAYLOADS = [b"", b"21.5", bytes(range(256)) * 400]

pytestmark = pytest.mark.interop
versions = pytest.mark.parametrize("version", [MQTTv311, MQTTv5], ids=["3.1.1", "5"])


class ListeningProcess(GatewayProcess):
    """A gateway that listens where its configuration says."""

    def command(self) -> list[str]:
        command = super().command()
        at = command.index("--host")
        return command[:at] + command[at + 4 :]


class Place:
    """Where the listeners are, and with which files."""

    def __init__(self, folder):
        folder.mkdir()
        self.certificates = Certificates(folder)
        self.leaf = self.certificates.client_leaf("pump-7")
        self.revoked = self.certificates.client_leaf("revoked")
        self.certificates.write_crl(self.revoked)
        self.ports = {name: free_port() for name in ("mqtt", "tls", "ws", "wss", "mtls", "proxy")}
        self.config = folder / "gateway.yaml"
        tls = f"certificate: {folder}/server.pem, key: {folder}/server.key"
        mutual = f"{tls}, ca: {folder}/ca.pem, client_certificates: required"
        lines = {
            "mqtt": "",
            "tls": f", tls: {{{tls}}}",
            "ws": ", kind: ws",
            "wss": f", kind: ws, tls: {{{tls}}}",
            "mtls": f", tls: {{{mutual}, crl: {folder}/clients.crl}}",
            "proxy": ", proxy_protocol: true",
        }
        listen = "\n".join(
            f"  - {{port: {self.ports[name]}{more}}}" for name, more in lines.items()
        )
        self.config.write_text(f"listen:\n{listen}\n")

    def context(self, name):
        """What a client of a listener needs to speak TLS; None where nobody does."""
        if name in ("tls", "wss"):
            return self.certificates.client_context()
        return self.certificates.client_context(self.leaf) if name == "mtls" else None


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("listeners") / "tls")


@pytest.fixture(scope="module")
def gateway(place, tmp_path_factory):
    process = ListeningProcess(tmp_path_factory.mktemp("gateway") / "log", config=place.config)
    process.port = place.ports["mqtt"]
    with process:
        yield process
        assert process.terminate() == 0
    assert "Traceback" not in process.output


def talk(place, name, version):
    """Subscribe, publish at every QoS, and return what comes back."""
    transport = "websockets" if name in ("ws", "wss") else "tcp"
    client = Client(
        CallbackAPIVersion.VERSION2, client_id=name, protocol=version, transport=transport
    )
    context = place.context(name)
    if context is not None:
        client.tls_set_context(context)
    arrived, subscribed = queue.Queue(), queue.Queue()
    client.on_message = lambda _c, _u, message: arrived.put((message.qos, message.payload))
    client.on_subscribe = lambda *_: subscribed.put(True)
    client.connect("localhost" if context else "127.0.0.1", place.ports[name])
    client.loop_start()
    try:
        client.subscribe(f"listeners/{name}", 2)
        subscribed.get(timeout=WAIT_S)
        wanted = [(qos, payload) for qos in (0, 1, 2) for payload in PAYLOADS]
        for qos, payload in wanted:
            client.publish(f"listeners/{name}", payload, qos).wait_for_publish(WAIT_S)
        assert [arrived.get(timeout=WAIT_S) for _ in wanted] == wanted
    finally:
        client.disconnect()
        client.loop_stop()


@versions
@pytest.mark.parametrize("name", ["mqtt", "tls", "ws", "wss", "mtls"])
def test_paho_speaks_over_every_listener(gateway, place, name, version):
    talk(place, name, version)


def test_a_revoked_or_missing_client_certificate_is_refused(gateway, place):
    for leaf in (place.revoked, None):
        context = place.certificates.client_context(leaf)
        with (
            socket.create_connection(("127.0.0.1", place.ports["mtls"]), WAIT_S) as raw,
            pytest.raises((ssl.SSLError, ConnectionError)),
            context.wrap_socket(raw, server_hostname="localhost") as client,
        ):
            client.recv(1)


def test_a_balancer_announces_the_client_that_the_log_names(gateway, place):
    header = b"PROXY TCP4 198.51.100.4 192.0.2.1 4242 1883\r\n"
    with RawClient(place.ports["proxy"], "behind") as client:
        client.send(header)
        assert client.connect().code == 0
        client.ping()
    with RawClient(place.ports["proxy"], "unannounced") as client:
        client.send(bytes.fromhex("100c00044d51545404020000000000"))
        assert client.is_closed_by_server()
    wait_for(lambda: "no PROXY header" in gateway.output, "the log to say so")


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
@pytest.mark.skipif(not shutil.which("mosquitto_pub"), reason="mosquitto_pub is not installed")
def test_mosquitto_publishes_over_tls(gateway, place, version):
    ca = place.certificates.write("servers.pem", place.certificates.server_ca.cert_pem.bytes())
    key = place.certificates.write("pump-7.key", place.leaf.private_key_and_cert_chain_pem.bytes())
    for name in ("tls", "mtls"):
        more = ["--cert", key, "--key", key] if name == "mtls" else []
        where = ["-h", "localhost", "-p", str(place.ports[name])]
        tls = ["--cafile", ca, "--tls-version", version, *more]
        subprocess.run(
            ["mosquitto_pub", *where, *tls, "-q", "1", "-t", f"m/{name}", "-m", "21.5"],
            timeout=WAIT_S,
            check=True,
        )


def test_a_new_certificate_is_used_without_a_restart(gateway, place):
    certificates = place.certificates
    context = certificates.client_context()
    port = place.ports["tls"]

    def serial():
        with (
            socket.create_connection(("127.0.0.1", port), WAIT_S) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as client,
        ):
            return int(client.getpeercert()["serialNumber"], 16)

    with RawClient(place.ports["mqtt"], "long-lived") as client:
        client.connect()
        assert serial() == certificates.server_serial()
        certificates.write_server()
        wait_for(lambda: serial() == certificates.server_serial(), "the new one", poll_s=0.2)
        client.ping()


def test_on_sighup_the_files_are_read_again(gateway, place):
    told = "server.pem and its companions are in use from now on"
    before = gateway.output.count(told)
    with RawClient(place.ports["mqtt"], "not-hung-up") as client:
        client.connect()
        os.kill(gateway.pid, signal.SIGHUP)
        # Three listeners have files; nothing but the signal says that they should be read.
        wait_for(lambda: gateway.output.count(told) == before + 3, "the log to say so")
        client.ping()


def test_each_listener_is_one_line_of_the_start(gateway, place):
    ports = place.ports
    for line in (
        f"127.0.0.1:{ports['mqtt']} (MQTT, anonymous, this machine only)",
        f"127.0.0.1:{ports['wss']} (MQTT over WebSocket at /mqtt over TLS, anonymous, "
        "this machine only)",
        f"127.0.0.1:{ports['mtls']} (MQTT over TLS, client certificates required)",
    ):
        assert f"penstock: listening on {line}\n" in gateway.output


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "listen: [{port: 0, tls: {certificate: no.pem, key: no.key}}]",
            1,
            "penstock: can't read certificate {folder}/no.pem: No such file or directory",
        ),
        (
            "listen: [{port: 0, tls: {certificate: no.pem}}]",
            2,
            "penstock: {folder}/wrong.yaml:1:25: missing key 'key'",
        ),
        (
            "listen: [{port: {mqtt}}]",
            1,
            "penstock: can't listen on 127.0.0.1:{mqtt}: the port is in use; choose another with "
            "--port, or stop what listens there",
        ),
    ],
)
def test_what_is_wrong_is_one_line(gateway, place, tmp_path, text, code, message):
    def filled(template):
        return template.replace("{folder}", str(tmp_path)).replace(
            "{mqtt}", str(place.ports["mqtt"])
        )

    config = tmp_path / "wrong.yaml"
    config.write_text(filled(text))
    process = ListeningProcess(tmp_path / "log", config=config)
    process.spawn()
    assert process.wait() == code
    assert process.output.splitlines() == [filled(message)]
