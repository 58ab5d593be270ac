"""MQTT 3.1.1 packets, encoded before the clock starts and without the product's code.

A ring holds a connection's PUBLISH packets one after another, all of one length, with the
identifiers 1, 2, 3 …: the next k packets are one slice, whatever k is.
"""

from __future__ import annotations

import random
from typing import NamedTuple

CONNACK_ACCEPTED = b"\x20\x02\x00\x00"
PUBACK_BYTES = 4
FIRST_BYTE = 0x40
PUBLISH_QOS_1 = 0x32
PACKETS_PER_RING_MIN = 1000


class Ring(NamedTuple):
    """`packet_count` packets of equal length, then the first ones again, so that no slice wraps."""

    encoded: bytes
    packet_bytes: int
    packet_count: int


def encode_string(text: str) -> bytes:
    """The text with its two-byte length, as MQTT writes strings."""
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def encode_length(value: int) -> bytes:
    """The variable byte integer of a remaining length."""
    encoded = bytearray()
    while True:
        value, byte = value >> 7, value & 0x7F
        encoded.append(byte | 0x80 if value else byte)
        if not value:
            return bytes(encoded)


def connect_packet(client_id: str) -> bytes:
    """A CONNECT with a clean session, no keep-alive and no credentials."""
    body = encode_string("MQTT") + b"\x04\x02\x00\x00" + encode_string(client_id)
    return b"\x10" + encode_length(len(body)) + body


def publish_packet(topic: str, payload: bytes, packet_id: int) -> bytes:
    """A PUBLISH at QoS 1."""
    body = encode_string(topic) + packet_id.to_bytes(2, "big") + payload
    return bytes([PUBLISH_QOS_1]) + encode_length(len(body)) + body


def telemetry_payload(chance: random.Random, sequence: int, payload_bytes: int) -> bytes:
    """One JSON reading with numbers that change, padded to exactly `payload_bytes`.

    Raises:
        ValueError: there is no room for the reading.
    """
    reading = (
        f'{{"seq":{sequence},"ts":{1_767_225_600_000 + sequence * 100},'
        f'"temperature":{chance.gauss(71, 4):.3f},"vibration":{abs(chance.gauss(2, 0.6)):.4f},'
        f'"rpm":{chance.randrange(1430, 1490)},"state":"{chance.choice(("run", "idle"))}"'
    )
    padding = payload_bytes - len(reading) - len(',"note":""}')
    if padding < 0:
        raise ValueError(f"a payload of {payload_bytes} bytes is too small; at least 120")
    note = "".join(chance.choices("0123456789abcdef", k=padding))
    return f'{reading},"note":"{note}"}}'.encode()


def build_ring(connection: int, *, window: int, payload_bytes: int, seed: int) -> Ring:
    """The packets of one connection, the same for the same seed."""
    chance = random.Random(f"{seed}/{connection}")
    topic = f"bench/device-{connection:04d}/telemetry"
    count = max(PACKETS_PER_RING_MIN, 2 * window)
    packets = [
        publish_packet(topic, telemetry_payload(chance, 100_000 + index, payload_bytes), index + 1)
        for index in range(count)
    ]
    return Ring(b"".join(packets + packets[:window]), len(packets[0]), count)
