"""One network connection: bytes to packets to the session, and its effects back to the world.

It has no protocol knowledge of its own: what may happen when is the session's, what follows is the
hub's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from gateway.errors import MqttError
from gateway.mqtt import (
    ClientPacket,
    Connect,
    PublishColumns,
    announced_version,
    decode_connect,
    decode_packet,
    packet_size,
    split_pubacks,
    split_publishes,
)
from gateway.session import (
    Append,
    CloseConnection,
    ConnectionLost,
    Effect,
    Failure,
    Grants,
    Input,
    KeepState,
    OpenState,
    Phase,
    Pubacks,
    PublishBatch,
    PublishWill,
    Redeliver,
    Release,
    Released,
    Resume,
    Revokes,
    Send,
    SendRetained,
    SendSaved,
    Session,
)

if TYPE_CHECKING:
    from gateway.server.hub import Hub
    from gateway.server.subscriber import Subscriber

PACKET_TYPE_BITS = 0xF0
PUBLISH = 0x30
PUBACK = 0x40
V5 = 5


class Connection(asyncio.Protocol):
    """The asyncio side of one client."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.session = Session(hub.options.session, hub.assign_client_id())
        self.subscriber: Subscriber | None = None
        self.transport: asyncio.Transport | None = None
        self.was_heard = True
        self.heard_at_ms = 0
        self.opened_at_ms = 0
        self.partial_since_ms: int | None = None
        self.closing_since_ms: int | None = None
        self.is_paused = False
        self._is_clogged = False
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._wanted_bytes = 0

    @property
    def partial_bytes(self) -> int:
        """How much of an incomplete packet is waiting for its rest."""
        return self._pieces_bytes

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's, so only the type checker can be told.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=self._hub.options.outbox_bytes_max)
        self._hub.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.perform(ConnectionLost())
        self._hub.discard(self)
        self._drop_partial()

    def pause_writing(self) -> None:
        # Who doesn't read is not read from: its PINGREQs would be answered into memory.
        self._is_clogged = True
        self._read_or_not()
        if self.subscriber is not None:
            self.subscriber.clog()

    def resume_writing(self) -> None:
        self._is_clogged = False
        self._read_or_not()
        if self.subscriber is not None:
            self.subscriber.unclog()

    def data_received(self, data: bytes) -> None:
        self.was_heard = True
        if self._pieces:
            self._pieces.append(data)
            self._pieces_bytes += len(data)
            if self._pieces_bytes < self._wanted_bytes:
                return
            data = b"".join(self._pieces)
            self._drop_partial()
        try:
            used = self._take(data)
            if used < len(data) and self.session.phase is not Phase.CLOSED:
                self._keep_partial(data[used:])
        except MqttError as error:
            self.fail(error, announced_version(data, 0))

    # -- bytes in

    def _take(self, data: bytes) -> int:
        """Take every complete packet; returns where the first incomplete one begins."""
        at = 0
        end = len(data)
        session = self.session
        while at < end and session.phase is not Phase.CLOSED:
            packet_type = data[at] & PACKET_TYPE_BITS
            if session.phase is Phase.CONNECTED:
                stop = at
                if packet_type == PUBLISH:
                    stop = self._take_publishes(data, at)
                elif packet_type == PUBACK:
                    packet_ids, stop = split_pubacks(data, at)
                    if packet_ids:
                        self.perform(Pubacks(packet_ids))
                if stop > at:
                    at = stop
                    continue
            found = self._decode(data, at)
            if found is None:
                break
            packet, at = found
            self.perform(packet)
        return at

    def _decode(self, data: bytes, at: int) -> tuple[Connect | ClientPacket, int] | None:
        """The general path: any packet, checked in full."""
        size_max = self._hub.options.session.packet_bytes_max
        if self.session.phase is Phase.AWAITING_CONNECT:
            return decode_connect(data, at, size_max)
        return decode_packet(data, at, self.session.version, size_max)

    def _take_publishes(self, data: bytes, at: int) -> int:
        columns = PublishColumns()
        stop = split_publishes(data, at, columns, is_v5=self.session.version == V5)
        if stop > at:
            self.perform(
                PublishBatch(columns.topics, columns.payloads, columns.flags, columns.packet_ids)
            )
        return stop

    def _keep_partial(self, rest: bytes) -> None:
        self._pieces = [rest]
        self._pieces_bytes = len(rest)
        self._wanted_bytes = packet_size(rest) or len(rest) + 1
        if self.partial_since_ms is None:
            self.partial_since_ms = self._hub.clock.monotonic_ms()

    def _drop_partial(self) -> None:
        self._pieces = []
        self._pieces_bytes = self._wanted_bytes = 0
        self.partial_since_ms = None

    # -- effects out

    def fail(self, error: MqttError, version: int = 0) -> None:
        """End the connection, because the client broke a rule."""
        self._hub.note_failure(self, error)
        self.perform(Failure(error.reason_code, version))

    def perform(self, incoming: Input) -> None:
        """Feed the session and do what it says."""
        try:
            for effect in self.session.handle(incoming):
                self._do(effect)
        except MqttError as error:
            self.fail(error)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Append(batch):
                self._hub.ingest.submit(self, self.session.state, batch)
            case Send(packets):
                self.write(packets)
            case SendSaved(packets):
                self._hub.sessions.save(self.session.state, lambda: self.write(packets))
            case Resume():
                if self.subscriber is not None:
                    self.subscriber.resume()
            case CloseConnection():
                self.close()
            case OpenState():
                self.perform(self._hub.open(self, effect))
            case _:
                self._do_for_session(effect)

    def _do_for_session(self, effect: Effect) -> None:
        match effect:
            case Redeliver():
                self._hub.attach(self)
            case Grants(grants):
                self._hub.grant(self, grants)
            case SendRetained(grants):
                self._hub.send_retained(self, grants)
            case Release(packet_id):
                self._release(packet_id)
            case Revokes(topic_filters):
                self._hub.revoke(self, topic_filters)
            case PublishWill(will):
                self._hub.publish_will(self.session.state, will)
            case KeepState(state):
                self._hub.keep(self, state)

    def _release(self, packet_id: bytes) -> None:
        self._hub.sessions.save(self.session.state, lambda: self.perform(Released(packet_id)))

    def write(self, packets: bytes) -> None:
        """Write to the client, unless it is gone."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(packets)

    def close(self) -> None:
        """Close after what was written; the hub's sweep cuts off a client that doesn't read."""
        if self.transport is not None and self.closing_since_ms is None:
            self.closing_since_ms = self._hub.clock.monotonic_ms()
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def pause(self) -> None:
        """Stop reading: what this client has sent can't be stored yet."""
        self.is_paused = True
        self._read_or_not()

    def resume(self) -> None:
        """Read again."""
        self.is_paused = False
        self.was_heard = True
        self._read_or_not()

    def _read_or_not(self) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if self.is_paused or self._is_clogged:
            transport.pause_reading()
        else:
            transport.resume_reading()
