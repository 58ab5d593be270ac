"""A small synchronous MQTT client, written from the specification, not from the gateway's code.

It does exactly what it is told, also what no client may do. Every wait has a bound.
"""

from __future__ import annotations

import select
import socket
import time
from typing import NamedTuple

TIMEOUT_S = 10.0
CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC = 1, 2, 3, 4, 5
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 8, 9, 10, 11
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14


class Packet(NamedTuple):
    """One control packet as it stood on the wire; `body` is all that follows the fixed header."""

    kind: int
    flags: int
    body: bytes


class Connack(NamedTuple):
    """The answer to CONNECT."""

    session_present: bool
    code: int


class Delivery(NamedTuple):
    """One PUBLISH that the server sent."""

    topic: str
    payload: bytes
    qos: int
    dup: bool
    retain: bool
    packet_id: int


class ConnectionClosed(ConnectionError):
    """The server closed the connection while the test waited for a packet."""


def encode_string(text: str | bytes) -> bytes:
    encoded = text.encode() if isinstance(text, str) else text
    return len(encoded).to_bytes(2, "big") + encoded


def encode_packet(kind: int, flags: int, body: bytes) -> bytes:
    """A fixed header and the body that it announces."""
    length, encoded = len(body), bytearray([kind << 4 | flags])
    while True:
        length, digit = length // 128, length % 128
        encoded.append(digit | 0x80 if length else digit)
        if not length:
            return bytes(encoded) + body


def decode_packet(received: bytes) -> tuple[Packet, int] | None:
    """The first packet in `received` and where it ends; None when it is not whole yet."""
    length = 0
    for index in range(1, 5):
        if index >= len(received):
            return None
        length += (received[index] & 0x7F) << (7 * (index - 1))
        if not received[index] & 0x80:
            end = index + 1 + length
            if len(received) < end:
                return None
            return Packet(
                received[0] >> 4, received[0] & 0x0F, bytes(received[index + 1 : end])
            ), end
    raise ValueError(f"the server sent a length of more than four bytes: {received[:5].hex()}")


class RawClient:
    """One connection; `version` is 4 for MQTT 3.1.1 and 5 for MQTT 5."""

    def __init__(self, port: int, client_id: str = "raw", *, version: int = 4) -> None:
        self.client_id = client_id
        self.version = version
        self.deliveries: list[Delivery] = []
        self._received = bytearray()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        """Drop the connection without a word."""
        self._socket.close()

    def send(self, encoded: bytes) -> None:
        """Send any bytes, valid or not."""
        self._socket.sendall(encoded)

    def connect(self, *, clean: bool = True, keep_alive_s: int = 0) -> Connack:
        """Open the session and wait for the answer."""
        flags = 0x02 if clean else 0x00
        body = (
            encode_string("MQTT") + bytes([self.version, flags]) + keep_alive_s.to_bytes(2, "big")
        )
        self.send(
            encode_packet(CONNECT, 0, body + self._no_properties + encode_string(self.client_id))
        )
        answer = self.expect(CONNACK)
        return Connack(bool(answer.body[0] & 1), answer.body[1])

    @property
    def _no_properties(self) -> bytes:
        return b"\0" if self.version >= 5 else b""

    def encode_publish(
        self,
        topic: str | bytes,
        payload: bytes,
        *,
        packet_id: int = 0,
        dup: bool = False,
        retain: bool = False,
    ) -> bytes:
        """A PUBLISH: at QoS 1 with the packet identifier that is given, without one at QoS 0."""
        flags = dup << 3 | (2 if packet_id else 0) | retain
        identifier = packet_id.to_bytes(2, "big") if packet_id else b""
        body = encode_string(topic) + identifier + self._no_properties + payload
        return encode_packet(PUBLISH, flags, body)

    def publish(
        self,
        topic: str | bytes,
        payload: bytes,
        *,
        packet_id: int = 0,
        dup: bool = False,
        retain: bool = False,
    ) -> None:
        """Send a PUBLISH and don't wait."""
        self.send(self.encode_publish(topic, payload, packet_id=packet_id, dup=dup, retain=retain))

    def subscribe(self, *filters: tuple[str, int], packet_id: int = 1) -> bytes:
        """Subscribe to (filter, QoS) pairs; returns the reason codes."""
        wanted = b"".join(encode_string(name) + bytes([qos]) for name, qos in filters)
        identifier = packet_id.to_bytes(2, "big")
        self.send(encode_packet(SUBSCRIBE, 2, identifier + self._no_properties + wanted))
        answer = self.expect(SUBACK)
        assert answer.body[:2] == identifier
        return answer.body[-len(filters) :]

    def unsubscribe(self, *filters: str, packet_id: int = 1) -> None:
        """Unsubscribe and wait for the answer."""
        names = b"".join(map(encode_string, filters))
        identifier = packet_id.to_bytes(2, "big")
        self.send(encode_packet(UNSUBSCRIBE, 2, identifier + self._no_properties + names))
        assert self.expect(UNSUBACK).body[:2] == identifier

    def ping(self, timeout_s: float = TIMEOUT_S) -> None:
        """Send a PINGREQ and wait for its answer."""
        self.send(encode_packet(PINGREQ, 0, b""))
        self.expect(PINGRESP, timeout_s)

    def disconnect(self) -> None:
        """Say goodbye and close."""
        self.send(encode_packet(DISCONNECT, 0, b""))
        self.close()

    def read_packet(self, timeout_s: float = TIMEOUT_S) -> Packet:
        """The next packet, whatever it is.

        Raises:
            TimeoutError: none came in time.
            ConnectionClosed: the server closed the connection first.
        """
        until_s = time.monotonic() + timeout_s
        while (found := decode_packet(self._received)) is None:
            remaining_s = max(0.0, until_s - time.monotonic())
            if not select.select([self._socket], [], [], remaining_s)[0]:
                raise TimeoutError(f"{self.client_id}: no packet within {timeout_s:g} s")
            self._receive()
        packet, end = found
        del self._received[:end]
        return packet

    def _receive(self) -> None:
        try:
            received = self._socket.recv(1 << 16)
        except ConnectionError:
            received = b""
        if not received:
            raise ConnectionClosed(f"{self.client_id}: closed by the server")
        self._received += received

    def expect(self, kind: int, timeout_s: float = TIMEOUT_S) -> Packet:
        """Wait for a packet of one kind; deliveries before it are acknowledged and kept."""
        until_s = time.monotonic() + timeout_s
        while True:
            packet = self.read_packet(max(0.0, until_s - time.monotonic()))
            if packet.kind == kind:
                return packet
            if packet.kind != PUBLISH:
                raise AssertionError(f"{self.client_id}: waited for kind {kind}, got {packet}")
            self._deliver(packet)

    def read_acks(self, count: int, timeout_s: float = TIMEOUT_S) -> list[int]:
        """The packet identifiers of the next `count` PUBACKs, in their order."""
        until_s = time.monotonic() + timeout_s
        return [
            int.from_bytes(
                self.expect(PUBACK, max(0.0, until_s - time.monotonic())).body[:2], "big"
            )
            for _ in range(count)
        ]

    def has_packet(self) -> bool:
        """Whether a whole packet has arrived; doesn't wait."""
        while select.select([self._socket], [], [], 0)[0]:
            self._receive()
        return decode_packet(self._received) is not None

    def acks_already_here(self) -> list[int]:
        """The identifiers of the PUBACKs that have arrived; doesn't wait.

        Raises:
            ConnectionClosed: the server closed the connection, and no ack is left to return.
        """
        is_closed = False
        while not is_closed and select.select([self._socket], [], [], 0)[0]:
            try:
                self._receive()
            except ConnectionClosed:
                is_closed = True
        acks = []
        while (found := decode_packet(self._received)) is not None:
            packet, end = found
            del self._received[:end]
            if packet.kind == PUBACK:
                acks.append(int.from_bytes(packet.body[:2], "big"))
        if is_closed and not acks:
            raise ConnectionClosed(f"{self.client_id}: closed by the server")
        return acks

    def collect(self, count: int, timeout_s: float = TIMEOUT_S) -> list[Delivery]:
        """Wait for `count` deliveries, earlier ones included; those at QoS 1 are acknowledged."""
        until_s = time.monotonic() + timeout_s
        while len(self.deliveries) < count:
            packet = self.read_packet(max(0.0, until_s - time.monotonic()))
            assert packet.kind == PUBLISH, packet
            self._deliver(packet)
        taken, self.deliveries = self.deliveries[:count], self.deliveries[count:]
        return taken

    def _deliver(self, packet: Packet) -> None:
        length = int.from_bytes(packet.body[:2], "big")
        topic, rest = packet.body[2 : 2 + length].decode(), packet.body[2 + length :]
        qos, packet_id = packet.flags >> 1 & 3, 0
        if qos:
            packet_id, rest = int.from_bytes(rest[:2], "big"), rest[2:]
        if self.version >= 5:
            rest = rest[1 + rest[0] :]  # properties of less than 128 bytes
        delivery = Delivery(
            topic, bytes(rest), qos, bool(packet.flags & 8), bool(packet.flags & 1), packet_id
        )
        self.deliveries.append(delivery)
        if qos == 1:
            self.send(encode_packet(PUBACK, 0, packet_id.to_bytes(2, "big")))

    def is_closed_by_server(self, timeout_s: float = TIMEOUT_S) -> bool:
        """Read and drop what comes until the server closes the connection, or the time is over."""
        until_s = time.monotonic() + timeout_s
        try:
            while True:
                self.read_packet(max(0.0, until_s - time.monotonic()))
        except ConnectionClosed:
            return True
        except TimeoutError:
            return False


def connected(
    port: int, client_id: str = "raw", *, version: int = 4, clean: bool = True
) -> RawClient:
    """A client whose CONNECT was accepted."""
    client = RawClient(port, client_id, version=version)
    try:
        answer = client.connect(clean=clean)
        assert answer.code == 0, answer
    except BaseException:
        client.close()
        raise
    return client
