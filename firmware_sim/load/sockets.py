"""Blocking connections to an MQTT server, each accepted before it is handed out."""

from __future__ import annotations

import socket
import struct

from firmware_sim.failures import LoadFailed, ServerAbsent, ServerRefused
from firmware_sim.load.options import Load
from firmware_sim.load.packets import SUBACK_BYTES, connect_packet, subscribe_packet
from gateway.mqtt import ProtocolVersion

CONNECT_S_MAX = 10.0
CONNACK = 0x20
CONNACK_HEAD_BYTES = 4
SUBACK = 0x90
FAILURE_BIT = 0x80
SEVEN_BITS = 0x7F
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def dial(load: Load) -> socket.socket:
    """Open a TCP connection.

    Raises:
        ServerAbsent: nothing listens there.
    """
    try:
        opened = socket.create_connection((load.host, load.port), timeout=CONNECT_S_MAX)
    except OSError as error:
        raise ServerAbsent(load.host, load.port, error.strerror or str(error)) from error
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def open_client(
    load: Load,
    client_id: str,
    *,
    version: int = ProtocolVersion.V3_1_1,
    is_clean: bool = True,
) -> socket.socket:
    """Open a connection that the server has accepted.

    Raises:
        ServerAbsent: nothing listens there, or it does not speak MQTT.
        ServerRefused: the CONNACK says no.
    """
    opened = dial(load)
    packet = connect_packet(
        client_id, load.username, load.password, version=version, is_clean=is_clean
    )
    try:
        opened.sendall(packet)
        head = opened.recv(CONNACK_HEAD_BYTES, socket.MSG_WAITALL)
        if len(head) == CONNACK_HEAD_BYTES:
            opened.recv(head[1] - 2, socket.MSG_WAITALL)
    except OSError as error:
        opened.close()
        raise ServerAbsent(load.host, load.port, f"no CONNACK: {error}") from error
    if len(head) == CONNACK_HEAD_BYTES and head[0] == CONNACK and not head[3]:
        return opened
    opened.close()
    if not head or head[0] != CONNACK:
        raise ServerAbsent(load.host, load.port, "what answers there is no MQTT server")
    why = f"the CONNACK is '{head.hex(' ')}'"
    raise ServerRefused(load.host, load.port, client_id, why)


def subscribe(opened: socket.socket, topic_filter: str, qos: int) -> None:
    """Subscribe, and wait until that is granted.

    Raises:
        LoadFailed: it is not.
    """
    opened.sendall(subscribe_packet(topic_filter, qos))
    suback = opened.recv(SUBACK_BYTES, socket.MSG_WAITALL)
    if len(suback) < SUBACK_BYTES or suback[0] != SUBACK or suback[-1] & FAILURE_BIT:
        raise LoadFailed(f"the server answered a SUBSCRIBE with '{suback.hex(' ')}'")


def cut_off(opened: socket.socket) -> None:
    """Close at once, leaving nothing behind in TIME_WAIT, as a device that lost its power."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    opened.close()
