"""MQTT packets of a load, encoded before the clock starts and without the product's code.

A ring holds a connection's PUBLISH packets one after another, all of one length, with the
identifiers 1, 2, 3 …: the next k packets are one slice, whatever k is.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from gateway.mqtt import ProtocolVersion

CONNACK_ACCEPTED = b"\x20\x02\x00\x00"
SUBACK_BYTES = 5
DISCONNECT = b"\xe0\x00"
PUBLISH_QOS_0 = 0x30
PUBLISH_QOS_1 = 0x32
PUBACK = 0x40
PACKETS_PER_RING_MIN = 1000
CLEAN, HAS_PASSWORD, HAS_USERNAME = 0x02, 0x40, 0x80
CONTENT_TYPE, USER_PROPERTY, CORRELATION_DATA = b"\x03", b"\x26", b"\x09"


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


def connect_packet(
    client_id: str,
    username: str | None = None,
    password: str | None = None,
    *,
    version: int = ProtocolVersion.V3_1_1,
    is_clean: bool = True,
) -> bytes:
    """A CONNECT without a keep-alive."""
    flags = CLEAN if is_clean else 0
    credentials = b""
    if username is not None:
        flags |= HAS_USERNAME
        credentials += encode_string(username)
    if password is not None:
        flags |= HAS_PASSWORD
        credentials += encode_string(password)
    properties = b"\x00" if version >= ProtocolVersion.V5 else b""
    head = encode_string("MQTT") + bytes((version, flags, 0, 0)) + properties
    body = head + encode_string(client_id) + credentials
    return b"\x10" + encode_length(len(body)) + body


def subscribe_packet(topic_filter: str, qos: int) -> bytes:
    """A SUBSCRIBE of MQTT 3.1.1 with the packet identifier 1."""
    body = b"\x00\x01" + encode_string(topic_filter) + bytes((qos,))
    return b"\x82" + encode_length(len(body)) + body


def publish_packet(
    topic: str, payload: bytes, packet_id: int, properties: bytes | None = None
) -> bytes:
    """A PUBLISH at QoS 1; of MQTT 5 when it has properties, be they empty."""
    section = b"" if properties is None else encode_length(len(properties)) + properties
    body = encode_string(topic) + packet_id.to_bytes(2, "big") + section + payload
    return bytes([PUBLISH_QOS_1]) + encode_length(len(body)) + body


def publish_properties(sequence: int) -> bytes:
    """What a careful MQTT 5 device adds to a reading: what it is, and which one."""
    own = USER_PROPERTY + encode_string("site") + encode_string("plant-7")
    correlation = CORRELATION_DATA + encode_string(f"{sequence:08d}")
    return CONTENT_TYPE + encode_string("application/json") + correlation + own


def delivered_bytes(topic: str, payload_bytes: int, qos: int) -> int:
    """How long a message is on its way to a subscriber that was granted `qos` 0 or 1."""
    body = len(encode_string(topic)) + (2 if qos else 0) + payload_bytes
    return 1 + len(encode_length(body)) + body


def device_topic(number: int) -> str:
    """The topic of one connection; all have the same length."""
    return f"bench/device-{number:05d}/telemetry"


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


def build_ring(
    topic: str, *, window: int, payload_bytes: int, seed: int, with_properties: bool = False
) -> Ring:
    """The packets that one connection publishes to a topic, the same for the same seed."""
    chance = random.Random(f"{seed}/{topic}")
    packets = []
    for index in range(max(PACKETS_PER_RING_MIN, 2 * window)):
        payload = telemetry_payload(chance, 100_000 + index, payload_bytes)
        properties = publish_properties(index) if with_properties else None
        packets.append(publish_packet(topic, payload, index + 1, properties))
    return Ring(b"".join(packets + packets[:window]), len(packets[0]), len(packets))
