"""What hostile and clumsy clients send, by kind, and what must become of each: from one seed.

The vectors of tests/wire say what the specification wants closed, with which reason, and what it
wants served; the other kinds are made by chance.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway import mqtt
from gateway.mqtt import ProtocolVersion, ReasonCode, Sender
from tests.harness.raw_client import encode_packet, encode_string
from tests.wire.vectors import Vector, load_vectors

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
PING = b"\xc0\x00"
SERVED = (mqtt.Publish, mqtt.Subscribe, mqtt.Unsubscribe, mqtt.Pingreq, mqtt.Puback, mqtt.Pubcomp)
CLOSED, ANSWERED, ANY = "closed", "answered", "any"
OVERSIZED = bytes.fromhex("30 ff ff ff 7f") + b"x" * 500


@dataclass(frozen=True)
class Attack:
    """Bytes for one connection, behind a CONNECT of `version` or, without one, at once.

    `outcome` is what must become of the connection: it is closed, with `reason` if MQTT 5 has the
    word; it is answered, the PINGREQ behind it too; or anything but harm to others.
    """

    name: str
    sent: bytes
    version: ProtocolVersion | None
    outcome: str
    reason: int | None = None


def connect(version: ProtocolVersion, client_id: str = "") -> bytes:
    """A CONNECT that is accepted; without a name every connection is a client of its own."""
    properties = b"\0" if version is V5 else b""
    body = encode_string("MQTT") + bytes([version, 2, 0, 60]) + properties
    return encode_packet(1, 0, body + encode_string(client_id))


def vector_attacks() -> list[Attack]:
    """Every vector that a client may send, well or badly."""
    attacks = []
    for vector in load_vectors():
        if vector.sender is Sender.CLIENT and vector.maximum_packet_size == 1 << 29:
            attack = bad_vector(vector) if vector.error else good_vector(vector)
            if attack is not None:
                attacks.append(attack)
    return attacks


def bad_vector(vector: Vector) -> Attack:
    assert vector.error is not None
    is_told = vector.version is V5 or vector.wire[2:9] == b"\x00\x04MQTT\x05"
    return Attack(
        str(vector), vector.wire, vector.version, CLOSED, vector.error[1] if is_told else None
    )


def good_vector(vector: Vector) -> Attack | None:
    """A packet that must be served: but some of them ask for what only a longer story allows."""
    packet = vector.packet
    if not isinstance(packet, SERVED):
        return None
    if isinstance(packet, mqtt.Publish) and packet.properties.topic_alias is not None:
        return None
    return Attack(str(vector), vector.wire + PING, vector.version, ANSWERED)


def noise(chance: random.Random) -> Attack:
    version = chance.choice([None, V3, V5])
    return Attack("noise", chance.randbytes(chance.randrange(1, 300)), version, ANY)


def mutation(chance: random.Random) -> Attack:
    victim = chance.choice(VECTORS)
    changed = bytearray(victim.sent)
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(changed))
        match chance.randrange(3):
            case 0:
                changed[place] ^= 1 << chance.randrange(8)
            case 1:
                changed.insert(place, chance.randrange(256))
            case _ if len(changed) > 1:
                del changed[place]
            case _:
                pass
    return Attack("mutation", bytes(changed), victim.version, ANY)


def truncation(chance: random.Random) -> Attack:
    victim = chance.choice(VECTORS)
    return Attack(
        "truncation", victim.sent[: chance.randrange(len(victim.sent))], victim.version, ANY
    )


def oversize(chance: random.Random) -> Attack:
    version = chance.choice([V3, V5])
    return Attack("oversize", OVERSIZED, version, CLOSED, ReasonCode.PACKET_TOO_LARGE)


def topic(chance: random.Random) -> Attack:
    """A topic name that no PUBLISH may have, among others that it may."""
    names = [b"a/#", b"+/b", b"a/\0", b"a/\xff\xfe", b"\xed\xa0\x80", b"a/\xc0\xaf", b"#"]
    version = chance.choice([V3, V5])
    properties = b"\0" if version is V5 else b""
    good = encode_packet(3, 0, encode_string("plant/good/x") + properties + b"1")
    bad = encode_packet(3, 0, encode_string(chance.choice(names)) + properties + b"1")
    return Attack("topic", good * chance.randrange(3) + bad + good, version, CLOSED)


def flood(chance: random.Random) -> Attack:
    """A CONNECT that is accepted, and nothing that follows from it."""
    version = chance.choice([V3, V5])
    return Attack("flood", connect(version, f"flood-{chance.randrange(50)}"), None, ANY)


def vector(chance: random.Random) -> Attack:
    return chance.choice(VECTORS)


KINDS: list[Callable[[random.Random], Attack]] = [
    noise, mutation, truncation, oversize, topic, flood, vector, vector,
]  # fmt: skip
VECTORS = vector_attacks()


def attacks(seed: int, count: int) -> Iterator[Attack]:
    """`count` attacks of every kind, every vector among them first."""
    chance = random.Random(seed)
    yield from VECTORS[:count]
    for _ in range(count - len(VECTORS)):
        yield chance.choice(KINDS)(chance)
