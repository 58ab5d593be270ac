"""A raw client that speaks MQTT 5's properties, written and read by Paho's code and not by ours.

It says exactly what a test says, and shows each packet that it hears. Every wait has a bound.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.harness.raw_client import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBLISH,
    PUBREC,
    SUBACK,
    SUBSCRIBE,
    TIMEOUT_S,
    UNSUBACK,
    UNSUBSCRIBE,
    ConnectionClosed,
    Packet,
    RawClient,
    encode_packet,
    encode_string,
)

PUBREL, PUBCOMP, PINGRESP, AUTH = 6, 7, 13, 15
V5 = 5
NO_LOCAL, RETAIN_AS_PUBLISHED = 0x04, 0x08
RETAIN_IF_NEW, RETAIN_NEVER = 0x10, 0x20
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Will(NamedTuple):
    """A will message, and its properties by Paho's names."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Mapping[str, Any] = NOTHING


class Heard(NamedTuple):
    """One packet from the server; what its kind does not have is empty."""

    kind: int
    flags: int = 0
    packet_id: int = 0
    codes: bytes = b""
    topic: str = ""
    payload: bytes = b""
    properties: Mapping[str, Any] = NOTHING
    session_present: bool = False

    @property
    def qos(self) -> int:
        return self.flags >> 1 & 3

    @property
    def retain(self) -> bool:
        return bool(self.flags & 1)

    @property
    def dup(self) -> bool:
        return bool(self.flags & 8)

    @property
    def code(self) -> int:
        return self.codes[0]


def encode_properties(kind: int, properties: Mapping[str, Any]) -> bytes:
    """Properties by Paho's names, behind their length."""
    made = Properties(kind)
    for name, value in properties.items():
        for each in value if isinstance(value, list) else [value]:
            setattr(made, name, each)
    return made.pack()


def take_properties(kind: int, body: bytes) -> tuple[dict[str, Any], bytes]:
    """The properties at the start of `body`, and what follows them."""
    read = Properties(kind)
    _, length = read.unpack(body)
    names = {name.replace(" ", "") for name in read.names}
    found = {name: getattr(read, name) for name in names if hasattr(read, name)}
    return found, body[length:]


class ScriptedClient(RawClient):
    """One connection that a test drives packet by packet."""

    def __init__(self, port: int, client_id: str | None = None, *, version: int = V5) -> None:
        name = f"c{uuid.uuid4().hex[:16]}" if client_id is None else client_id
        super().__init__(port, name, version=version)
        self._last_id = 0

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def properties(self, kind: int, properties: Mapping[str, Any]) -> bytes:
        return encode_properties(kind, properties) if self.version >= V5 else b""

    def say(self, kind: int, body: bytes = b"", flags: int | None = None) -> None:
        """Send a packet of any kind; `flags` are those that it must have unless given."""
        usual = 2 if kind in {PUBREL, SUBSCRIBE, UNSUBSCRIBE} else 0
        self.send(encode_packet(kind, usual if flags is None else flags, body))

    def encode_connect(
        self,
        *,
        clean: bool = True,
        keep_alive_s: int = 0,
        will: Will | None = None,
        **properties: Any,
    ) -> bytes:
        flags = 0x02 if clean else 0
        tail = encode_string(self.client_id)
        if will is not None:
            flags |= 0x04 | will.qos << 3 | will.retain << 5
            tail += self.properties(PacketTypes.WILLMESSAGE, will.properties)
            tail += encode_string(will.topic) + encode_string(will.payload)
        body = (
            encode_string("MQTT") + bytes([self.version, flags]) + keep_alive_s.to_bytes(2, "big")
        )
        body += self.properties(PacketTypes.CONNECT, properties)
        return encode_packet(CONNECT, 0, body + tail)

    def open(self, **fields: Any) -> Heard:
        """Say CONNECT with these fields and properties; returns the CONNACK, whatever it says."""
        self.send(self.encode_connect(**fields))
        return self.hear_one(CONNACK)

    def hear(self, timeout_s: float = TIMEOUT_S) -> Heard:
        """The next packet, whatever it is; nothing is acknowledged."""
        return self._decode(self.read_packet(timeout_s))

    def hear_one(self, kind: int, timeout_s: float = TIMEOUT_S) -> Heard:
        """The next packet, which is of this kind."""
        heard = self.hear(timeout_s)
        assert heard.kind == kind, heard
        return heard

    def hear_until(self, kind: int) -> list[Heard]:
        """Everything up to and with the first packet of a kind."""
        heard = [self.hear()]
        while heard[-1].kind != kind:
            heard.append(self.hear())
        return heard

    def _decode(self, packet: Packet) -> Heard:
        kind, flags, body = packet
        if kind == PUBLISH:
            return self._decode_publish(flags, body)
        if kind == CONNACK:
            found = take_properties(kind, body[2:])[0] if self.version >= V5 else NOTHING
            present = bool(body[0] & 1)
            return Heard(kind, codes=body[1:2], properties=found, session_present=present)
        if kind == DISCONNECT:
            found = take_properties(kind, body[1:])[0] if len(body) > 1 else NOTHING
            return Heard(kind, codes=body[:1] or b"\0", properties=found)
        return self._decode_answer(kind, body)

    def _decode_answer(self, kind: int, body: bytes) -> Heard:
        packet_id, rest = int.from_bytes(body[:2], "big"), body[2:]
        properties: Mapping[str, Any] = NOTHING
        if kind in {SUBACK, UNSUBACK}:
            if self.version >= V5:
                properties, rest = take_properties(kind, rest)
        elif len(rest) > 1:
            properties, rest = take_properties(kind, rest[1:])[0], rest[:1]
        return Heard(kind, 0, packet_id, rest or b"\0", properties=properties)

    def _decode_publish(self, flags: int, body: bytes) -> Heard:
        length = int.from_bytes(body[:2], "big")
        topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
        packet_id, properties = 0, {}
        if flags & 6:
            packet_id, rest = int.from_bytes(rest[:2], "big"), rest[2:]
        if self.version >= V5:
            properties, rest = take_properties(PUBLISH, rest)
        return Heard(PUBLISH, flags, packet_id, topic=topic, payload=rest, properties=properties)

    # -- the usual exchanges

    def ask(self, *filters: tuple[str, int], **properties: Any) -> Heard:
        """Subscribe to (filter, options) pairs; returns the SUBACK, which comes next."""
        packet_id = self.next_id()
        body = packet_id.to_bytes(2, "big") + self.properties(SUBSCRIBE, properties)
        self.say(SUBSCRIBE, body + b"".join(encode_string(f) + bytes([o]) for f, o in filters))
        suback = self.hear_one(SUBACK)
        assert suback.packet_id == packet_id
        return suback

    def give_up(self, *filters: str) -> Heard:
        """Unsubscribe; returns the UNSUBACK, which comes next."""
        packet_id = self.next_id()
        body = packet_id.to_bytes(2, "big") + self.properties(UNSUBSCRIBE, {})
        self.say(UNSUBSCRIBE, body + b"".join(map(encode_string, filters)))
        unsuback = self.hear_one(UNSUBACK)
        assert unsuback.packet_id == packet_id
        return unsuback

    def tell(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        packet_id: int | None = None,
        flags: int = 0,
        **properties: Any,
    ) -> int:
        """Send a PUBLISH, and don't wait; returns its packet identifier, 0 with QoS 0."""
        identifier = 0
        if qos:
            identifier = self.next_id() if packet_id is None else packet_id
        body = encode_string(topic) + (identifier.to_bytes(2, "big") if qos else b"")
        body += self.properties(PUBLISH, properties) + payload
        self.say(PUBLISH, body, qos << 1 | flags)
        return identifier

    def acknowledge(self, kind: int, packet_id: int, code: int = 0) -> None:
        """Send one of the acknowledgements; a reason code other than success in MQTT 5 only."""
        self.say(kind, packet_id.to_bytes(2, "big") + (bytes([code]) if code else b""))

    def deliver(self, topic: str, payload: bytes = b"", qos: int = 1, **fields: Any) -> None:
        """Publish and go through with it: when this returns, the server has the message."""
        packet_id = self.tell(topic, payload, qos, **fields)
        if qos == 1:
            assert self.hear_one(PUBACK).packet_id == packet_id
        elif qos:
            assert self.hear_one(PUBREC).packet_id == packet_id
            self.acknowledge(PUBREL, packet_id)
            assert self.hear_one(PUBCOMP).packet_id == packet_id

    def take(self, count: int) -> list[Heard]:
        """Wait for so many messages, each acknowledged as its QoS asks."""
        found: list[Heard] = []
        releasing: set[int] = set()
        while len(found) < count or releasing:
            heard = self.hear()
            if heard.kind == PUBREL:
                releasing.remove(heard.packet_id)
                self.acknowledge(PUBCOMP, heard.packet_id)
                continue
            assert heard.kind == PUBLISH, heard
            found.append(heard)
            if heard.qos:
                self.acknowledge(PUBACK if heard.qos == 1 else PUBREC, heard.packet_id)
            if heard.qos == 2:
                releasing.add(heard.packet_id)
        return found

    def leave(self, code: int = 0, **properties: Any) -> None:
        """Say DISCONNECT, and wait until the server has closed the connection."""
        body = b""
        if code or properties:
            body = bytes([code]) + self.properties(DISCONNECT, properties)
        self.say(DISCONNECT, body)
        assert self.is_closed_by_server()
        self.close()

    def farewell(self) -> Heard | None:
        """What the server says last, before it closes; None when it closes without a word."""
        last = None
        while True:
            try:
                last = self.hear()
            except ConnectionClosed:
                return last

    def ping_is_answered(self) -> bool:
        self.say(PINGREQ)
        return self.hear().kind == PINGRESP


def opened(
    port: int, client_id: str | None = None, *, version: int = V5, **fields: Any
) -> ScriptedClient:
    """A client whose CONNECT was accepted."""
    client = ScriptedClient(port, client_id, version=version)
    try:
        connack = client.open(**fields)
        assert connack.code == 0, connack
    except BaseException:
        client.close()
        raise
    return client
