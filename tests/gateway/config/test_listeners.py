from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gateway.config import UNREACHABLE, load_config
from gateway.config.listeners import is_origin
from gateway.errors import DocumentInvalid
from gateway.server import ListenerOptions, TlsOptions

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "config" / "gateway.yaml"
GUIDE = ROOT / "docs" / "listeners.md"
TLS = "certificate: a.pem, key: a.key"
MUTUAL = f"{TLS}, ca: ca.pem, client_certificates: required"


@pytest.fixture
def listeners(tmp_path):
    """The listeners of a `listen:` text."""

    def read(text):
        path = tmp_path / "gateway.yaml"
        path.write_text(text)
        return load_config(path).server.listeners

    return read


@pytest.fixture
def complaints(listeners, tmp_path):
    """What is wrong with a text: `line:column: message` each."""

    def read(text):
        with pytest.raises(DocumentInvalid) as caught:
            listeners(text)
        return [
            line.removeprefix(f"{tmp_path}/gateway.yaml:")
            for line in str(caught.value).splitlines()
        ]

    return read


def uncommented():
    """The `listen:` part of the shipped file, its examples included."""
    part = re.search(r"^listen:\n(?:  .*\n)+", SHIPPED.read_text(), re.MULTILINE)
    return part[0].replace("\n  # ", "\n  ")


def test_every_setting_of_a_listener_reaches_its_options(listeners, tmp_path):
    assert listeners(
        f"""
listen:
  - {{host: "::1", port: 0}}
  - {{port: 8083, kind: ws, path: /, origins: ["http://a:1", "*"], proxy_protocol: true}}
  - {{port: 8883, tls: {{{TLS}}}}}
  - {{host: 0.0.0.0, port: 8884, tls: {{{MUTUAL}, crl: /etc/a.crl}}}}
"""
    ) == (
        ListenerOptions("::1", 0),
        ListenerOptions(
            port=8083, kind="ws", path="/", origins=("http://a:1", "*"), proxy_protocol=True
        ),
        ListenerOptions(port=8883, tls=TlsOptions(tmp_path / "a.pem", tmp_path / "a.key")),
        ListenerOptions(
            "0.0.0.0",  # noqa: S104 - nothing is bound here
            8884,
            tls=TlsOptions(
                tmp_path / "a.pem",
                tmp_path / "a.key",
                tmp_path / "ca.pem",
                "required",
                Path("/etc/a.crl"),
            ),
        ),
    )


def test_the_shipped_examples_are_right_and_show_every_setting(listeners, complaints):
    assert len(listeners(uncommented())) == 3
    written = yaml.safe_load(uncommented())["listen"]
    for prefix, suffix, shown in [
        ("listen: [{", "}]", {key for listener in written for key in listener}),
        (f"listen: [{{tls: {{{TLS}, ", "}}]", set(written[2]["tls"])),
    ]:
        (complaint,) = complaints(f"{prefix}zzz: 1{suffix}")
        assert set(complaint.rpartition("known here: ")[2].split(", ")) == shown


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "listen: [{host: 0.0.0.0}]",
            f"1:17: '0.0.0.0' is not a loopback address; {UNREACHABLE}",
        ),
        (
            f"listen: [{{host: plant, tls: {{{TLS}, ca: b, client_certificates: optional}}}}]",
            f"1:17: 'plant' is not a loopback address; {UNREACHABLE}",
        ),
        ("listen: [{kind: wss}]", "1:17: 'wss' is not one of mqtt, ws, did you mean 'ws'?"),
        ("listen: [{path: /mqtt}]", "1:11: 'path' needs 'kind: ws'"),
        ("listen: [{origins: ['*']}]", "1:11: 'origins' needs 'kind: ws'"),
        (
            "listen: [{kind: ws, path: mqtt}]",
            "1:27: 'mqtt' is not a path; it begins with / and has no ?",
        ),
        (
            "listen: [{kind: ws, origins: [plant.example]}]",
            "1:31: 'plant.example' is not an origin; write https://host, https://host:8443, "
            'or "*"',
        ),
        ("listen: [{tls: yes}]", "1:16: 'tls' must be a mapping of keys to values"),
        ("listen: [{tls: {certificate: a}}]", "1:16: missing key 'key'"),
        ("listen: [{tls: {key: a}}]", "1:16: missing key 'certificate'"),
        (
            f"listen: [{{tls: {{{TLS}, client_certificates: required}}}}]",
            "1:70: 'client_certificates: required' needs 'ca'",
        ),
        (
            f"listen: [{{tls: {{{TLS}, crl: a}}}}]",
            "1:49: 'crl' needs 'client_certificates: optional' or 'required'",
        ),
        (
            f"listen: [{{tls: {{{TLS}, cyphr: a}}}}]",
            "1:49: unknown key 'cyphr'; known here: ca, certificate, client_certificates, crl, key",
        ),
        ("listen: [{proxy_protocol: v2}]", "1:27: 'v2' is not true or false"),
    ],
)
def test_an_error_says_where_it_is_and_what_would_be_right(complaints, text, complaint):
    assert complaints(text) == [complaint]


def test_two_listeners_cannot_share_an_address(complaints):
    assert complaints("listen:\n- {port: 1}\n- {port: 2}\n- {port: 1, kind: ws}") == [
        "2:10: two listeners can't share 127.0.0.1:1",
        "4:10: two listeners can't share 127.0.0.1:1",
    ]


def test_any_number_of_listeners_may_take_a_free_port(listeners):
    assert len(listeners("listen: [{port: 0}, {port: 0}]")) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://plant.example", True),
        ("http://[::1]:8080", True),
        ("https://plant.example/", False),
        ("https://", False),
        ("plant.example", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_an_origin_is_scheme_and_host(text, expected):
    assert is_origin(text) is expected


def test_the_guide_shows_listeners_that_load_and_names_every_setting(listeners):
    guide = GUIDE.read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert [listener.port for listener in listeners(block)] == [1883, 8083, 8883]
    written = yaml.safe_load(uncommented())["listen"]
    settings = {key for listener in written for key in listener} | set(written[2]["tls"])
    assert [name for name in sorted(settings) if f"`{name}`" not in guide] == []


def test_with_credentials_required_it_may_listen_anywhere(listeners):
    (listener,) = listeners("listen: [{host: plant}]\naccess: {credentials: required}\n")
    assert listener.host == "plant"
