from __future__ import annotations

import socket
import threading
from contextlib import closing, contextmanager, suppress

import pytest

from firmware_sim.failures import LoadFailed, ServerAbsent, ServerRefused
from firmware_sim.load.options import Load
from firmware_sim.load.sockets import cut_off, open_client, subscribe
from gateway.mqtt import ProtocolVersion


@contextmanager
def answering(*answers):
    """A server that answers each read of one client with the next of these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            client, _ = listener.accept()
            with client:
                for answer in answers:
                    client.recv(1 << 16)
                    client.sendall(answer)
                with suppress(ConnectionResetError):
                    client.recv(1 << 16)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Load(port=listener.getsockname()[1])
        thread.join(10)


@pytest.mark.parametrize("version", [ProtocolVersion.V3_1_1, ProtocolVersion.V5])
def test_a_client_is_accepted_and_may_subscribe(gateway, version):
    with closing(open_client(Load(port=gateway.port), "a", version=version)) as opened:
        opened.sendall(b"\xc0\x00")
        assert opened.recv(2) == b"\xd0\x00"
    with closing(open_client(Load(port=gateway.port), "a")) as opened:
        subscribe(opened, "t/#", 1)


def test_nobody_listening_is_one_clear_line(nobody):
    with pytest.raises(ServerAbsent, match=f"no MQTT server at 127.0.0.1:{nobody}: .*refused"):
        open_client(Load(port=nobody), "a")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_what_is_no_mqtt_server_is_told_from_one(answer):
    with answering(answer) as load, pytest.raises(ServerAbsent, match="no MQTT server"):
        open_client(load, "a")


def test_a_refusal_is_shown():
    with answering(b"\x20\x02\x00\x05") as load, pytest.raises(ServerRefused, match="20 02 00 05"):
        open_client(load, "a")


def test_a_subscription_that_is_not_granted_ends_the_load():
    with answering(b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x80") as load:
        opened = open_client(load, "a")
        with pytest.raises(LoadFailed, match="90 03 00 01 80"):
            subscribe(opened, "t", 1)
        cut_off(opened)
