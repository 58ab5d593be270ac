from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import pytest

from gateway.cli import main, serve
from gateway.config import GatewayConfig
from gateway.errors import PenstockError
from gateway.server import ListenerOptions, ServerOptions, TlsOptions
from tests.harness.certificates import Certificates
from tests.harness.gateway_process import environment_of, free_port, penstock
from tests.harness.raw_client import connected
from tests.harness.waiting import wait_for

LISTENING = re.compile(r"penstock: listening on 127\.0\.0\.1:(\d+) \((.*)\)")
MUTUAL = TlsOptions("a.pem", "a.key", "ca.pem", "required")


class Served:
    """`penstock serve` as a child, in a folder of its own; what it says goes to files there."""

    def __init__(self, folder, *arguments):
        self._outputs = [folder / "stdout", folder / "stderr"]
        with self._outputs[0].open("w") as stdout, self._outputs[1].open("w") as stderr:
            self.child = subprocess.Popen(
                penstock("serve", *arguments),
                cwd=folder,
                env=environment_of(),
                stdout=stdout,
                stderr=stderr,
            )

    def __enter__(self):
        wait_for(
            lambda: self.child.poll() is not None or "data in" in self.stdout, "the first lines"
        )
        assert self.child.poll() is None, self.stderr
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()

    @property
    def stdout(self):
        return self._outputs[0].read_text()

    @property
    def stderr(self):
        return self._outputs[1].read_text()

    @property
    def port(self):
        return int(LISTENING.match(self.stdout)[1])

    def end(self, number=signal.SIGTERM):
        self.child.send_signal(number)
        return self.child.wait(15)


@pytest.fixture
def serves(tmp_path):
    """Start it with these arguments, beside a data directory `log`."""
    return lambda *arguments: Served(tmp_path, "--data", tmp_path / "log", *arguments)


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "gateway.yaml"
        path.write_text(text)
        return path

    return write


# As a process


def test_it_says_where_it_listens_and_where_its_data_is_when_it_does(serves, tmp_path):
    with serves("--port", "0") as served:
        first, second = served.stdout.splitlines()
        assert LISTENING.fullmatch(first)[2] == "MQTT, anonymous, this machine only"
        assert second == f"penstock: data in {tmp_path / 'log'}"
        with connected(served.port) as client:
            client.publish("a/b", b"1", packet_id=1)
            assert client.read_acks(1) == [1]


def test_an_interrupt_ends_it_with_success_and_without_a_word(serves):
    with serves("--port", "0") as served:
        assert served.end(signal.SIGINT) == 0
        assert (served.stderr, len(served.stdout.splitlines())) == ("", 2)


def test_a_second_signal_while_it_stops_does_no_harm(serves):
    with serves("--port", "0") as served:
        served.child.send_signal(signal.SIGTERM)
        assert served.end() == 0


def test_flags_override_the_configuration(config, tmp_path):
    taken = free_port()
    path = config(f"version: 1\ndata: elsewhere\nlisten: [{{port: {taken}}}]\nlog_level: error\n")
    arguments = ("--config", path, "--data", tmp_path / "log", "--port", "0")
    with socket.create_server(("127.0.0.1", taken)), Served(tmp_path, *arguments) as served:
        assert served.port != taken
    assert (tmp_path / "log").is_dir()
    assert not (tmp_path / "elsewhere").exists()


def test_the_configuration_of_its_folder_is_read_unasked(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "gateway.yaml").write_text("data: ../own\nlisten: [{port: 0}]\n")
    with Served(tmp_path) as served:
        assert served.port
    assert (tmp_path / "own").is_dir()


def test_each_listener_is_described_as_it_is_and_renewed_on_sighup(config, tmp_path):
    certificates = Certificates(tmp_path)
    path = config(
        "log_level: warning\n"
        "listen:\n"
        "  - {port: 0}\n"
        "  - {port: 0, tls: {certificate: server.pem, key: server.key}}\n"
    )
    with Served(tmp_path, "--config", path) as served:
        plain, over_tls, _ = served.stdout.splitlines()
        assert LISTENING.fullmatch(plain)[2] == "MQTT, anonymous, this machine only"
        assert LISTENING.fullmatch(over_tls)[2] == "MQTT over TLS, anonymous, this machine only"
        certificates.write("server.pem", b"not a certificate")
        served.child.send_signal(signal.SIGHUP)
        wait_for(lambda: "server.pem" in served.stderr, "the complaint")
        with connected(served.port) as client:
            client.ping()
        assert served.end() == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--host", "192.0.2.1"], 1, "'192.0.2.1' is not a loopback address"),
        (["--host", "::", "--port", "0"], 1, "'::' is not a loopback address"),
        (["--rules", "absent"], 1, "no rules at absent; --rules takes a file or a folder"),
        (["--config", "absent.yaml"], 2, "absent.yaml"),
        (["--port", "65536"], 2, "--port"),
        (["--port", "mqtt"], 2, "--port"),
        (["--listen", "1883"], 2, "--listen"),
    ],
)
def test_what_can_not_be_served_is_refused_in_one_line(
    tmp_path, monkeypatch, capsys, arguments, exit_code, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["penstock", "serve", "--data", "log", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == exit_code
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("penstock: ")
    assert message in line
    assert (printed.out, list(tmp_path.iterdir())) == ("", [])


# What flags make of a configuration


def listening(*listeners):
    return GatewayConfig(server=ServerOptions(listeners=listeners))


def test_without_flags_every_listener_stays():
    settings = listening(ListenerOptions(), ListenerOptions(port=1884))
    assert serve._listen(settings, None, None) is settings


def test_a_flag_leaves_one_listener_with_everything_else_that_it_is():
    settings = listening(
        ListenerOptions("0.0.0.0", 8883, tls=MUTUAL, proxy_protocol=True),  # noqa: S104 - over TLS
        ListenerOptions(port=1884),
    )
    (listener,) = serve._listen(settings, None, 0).server.listeners
    assert (listener.host, listener.port) == ("0.0.0.0", 0)  # noqa: S104 - over TLS
    assert (listener.tls, listener.proxy_protocol) == (MUTUAL, True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_addresses_of_this_machine_are_served(host):
    (listener,) = serve._listen(listening(ListenerOptions()), host, None).server.listeners
    assert (listener.host, listener.port) == (host, 1883)


def test_a_host_beyond_this_machine_needs_a_listener_that_asks_who():
    with pytest.raises(PenstockError, match="over TLS with 'client_certificates: required'"):
        serve._listen(listening(ListenerOptions()), "192.0.2.1", None)
    settings = listening(ListenerOptions(tls=MUTUAL))
    (listener,) = serve._listen(settings, "192.0.2.1", None).server.listeners
    assert listener.host == "192.0.2.1"


def test_flags_of_paths_go_before_the_configuration(tmp_path):
    settings = GatewayConfig(data_dir=tmp_path / "a", rules_path=tmp_path / "a.yaml")
    assert serve._override(settings, None, None) == settings
    (tmp_path / "b.yaml").touch()
    found = serve._override(settings, tmp_path / "b", tmp_path / "b.yaml")
    assert (found.data_dir, found.rules_path) == (tmp_path / "b", tmp_path / "b.yaml")
