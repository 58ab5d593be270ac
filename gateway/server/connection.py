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
    Publish,
    PublishColumns,
    ReasonCode,
    Subscribe,
    announced_version,
    decode_connect,
    decode_packet,
    packet_size,
    split_described,
    split_pubacks,
    split_publishes,
)
from gateway.server.lingering import linger
from gateway.server.listeners.addresses import peer_of
from gateway.server.streaming import Writer
from gateway.session import (
    Append,
    AppendRefused,
    CloseConnection,
    ConnectionLost,
    ConnectRefused,
    Effect,
    Failure,
    Grants,
    Input,
    KeepState,
    Opened,
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
    from gateway.server.permits import Intake, Permit
    from gateway.server.subscriber import Subscriber

PACKET_TYPE_BITS = 0xF0
PUBLISH = 0x30
PUBACK = 0x40
V5 = 5
SILENT = frozenset({Phase.OPENING, Phase.CLOSED})


class Connection(asyncio.Protocol):
    """The asyncio side of one client, over any transport that keeps bytes in order.

    Spec: MQTT5 §4.2 [MQTT5-4.2.0-1], MQTT311 §4.2, §7.1.1 [MQTT311-4.2.0-1] [MQTT311-7.1.1-1]
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.session = Session(hub.options.session, hub.assign_client_id())
        self.subscriber: Subscriber | None = None
        self.quota: Intake | None = None
        self.permit: Permit | None = None
        self.transport: asyncio.Transport | None = None
        self.was_heard = True
        self.heard_at_ms = 0
        self.opened_at_ms = 0
        self.partial_since_ms: int | None = None
        self.closing_since_ms: int | None = None
        self.is_paused = False
        self.is_throttled = False
        self.unanswered_since_ms: int | None = None
        self._submitted = self._level = 0
        self._is_behind = False
        self.host = ""
        self._counters = hub.counters
        self.writer = Writer(self, hub.counters, hub.options.outbox_bytes_max // 2)
        self._is_clogged = False
        self._early: list[bytes] | None = None
        self._is_taking = False
        self._answers: list[bytes] = []
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._wanted_bytes = 0

    @property
    def partial_bytes(self) -> int:
        """How much of an incomplete packet is waiting for its rest."""
        return self._pieces_bytes

    @property
    def peer(self) -> str:
        """Who is at the other end, for people."""
        return "an unknown address" if self.transport is None else peer_of(self.transport)

    @property
    def is_waiting(self) -> bool:
        """Whether it has spoken, and its turn to be heard has not come."""
        return self._early is not None

    @property
    def is_held_back(self) -> bool:
        """Whether it is our doing that nothing is heard of the client."""
        is_opening = self.session.phase is Phase.OPENING
        return self.is_paused or self.is_throttled or is_opening or self._is_behind

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's, so only the type checker can be told.
        self.transport = cast(asyncio.Transport, transport)
        # The other half is for messages that are held while the socket takes nothing.
        self.transport.set_write_buffer_limits(high=self._hub.options.outbox_bytes_max // 2)
        self._hub.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.turnstile.enter(self._end)

    def _end(self) -> None:
        self.perform(ConnectionLost())
        self._hub.discard(self)
        self._drop_partial()

    def pause_writing(self) -> None:
        # Who doesn't read is not read from: its PINGREQs would be answered into memory.
        self._is_clogged = True
        self.read_or_not()
        if self.subscriber is not None:
            self.subscriber.clog()

    def resume_writing(self) -> None:
        self._is_clogged = False
        self.read_or_not()
        if self.subscriber is not None:
            self.subscriber.unclog()

    def data_received(self, data: bytes) -> None:
        self.was_heard = True
        self._counters.bytes_received += len(data)
        if self._early is not None:
            # It is told apart from a crowd by its first bytes; more of them can wait in the socket.
            self._early.append(data)
            self.read_or_not()
        elif self.session.phase is Phase.AWAITING_CONNECT:
            self._early = [data]
            self._hub.turnstile.enter(self._begin)
        else:
            self._receive(data)

    def _begin(self) -> None:
        """Take what a newcomer has said so far."""
        early, self._early = self._early or [], None
        self._receive(b"".join(early))
        if len(early) > 1:
            self.read_or_not()

    def _receive(self, data: bytes) -> None:
        if self._pieces:
            self._pieces.append(data)
            self._pieces_bytes += len(data)
            if self._pieces_bytes < self._wanted_bytes:
                return
            data = b"".join(self._pieces)
            self._drop_partial()
        self._take_or_keep(data)

    # -- bytes in

    def _take_or_keep(self, data: bytes) -> None:
        """Take what is complete of the bytes, and keep the rest until more comes."""
        self._is_taking = True
        try:
            used = self._take(data)
            if used < len(data) and self.session.phase is not Phase.CLOSED:
                self._keep_partial(data[used:])
        except MqttError as error:
            self.fail(error, announced_version(data, 0))
        finally:
            self._is_taking = False
            if self._answers:
                self._write_answers()

    def _take(self, data: bytes) -> int:
        """Take every complete packet; returns where the first incomplete one begins."""
        at = 0
        end = len(data)
        session = self.session
        # What follows a CONNECT waits until that is answered.
        while at < end and session.phase not in SILENT and not self._is_behind:
            packet_type = data[at] & PACKET_TYPE_BITS
            if session.phase is Phase.CONNECTED:
                stop = at
                if packet_type == PUBLISH:
                    stop = self._take_publishes(data, at)
                elif packet_type == PUBACK:
                    packet_ids, stop = split_pubacks(data, at)
                    if packet_ids:
                        self._counters.pubacks_received += len(packet_ids)
                        self.perform(Pubacks(packet_ids))
                if stop > at:
                    at = stop
                    continue
            found = self._decode(data, at)
            if found is None or (type(found[0]) is Subscribe and self._waits_for_own()):
                break
            self._count(packet := found[0], found[1] - at)
            at = found[1]
            self.perform(packet)
        return at

    def _waits_for_own(self) -> bool:
        """Whether what the client published before a SUBSCRIBE is still on its way to the log.

        What it has just retained then comes as a retained message, and not live a moment later.
        """
        self._is_behind = self._hub.ingest.fences.holds(self._submitted, self._take_kept)
        return self._is_behind

    def _count(self, packet: Connect | ClientPacket, size_bytes: int) -> None:
        if isinstance(packet, Publish):
            self._counters.publishes_received += 1
            self._counters.publish_bytes_received += size_bytes
        else:
            self._counters.others_received += 1

    def _decode(self, data: bytes, at: int) -> tuple[Connect | ClientPacket, int] | None:
        """The general path: any packet, checked in full."""
        size_max = self._hub.options.session.packet_bytes_max
        if self.session.phase is Phase.AWAITING_CONNECT:
            found = decode_connect(data, at, size_max)
            self._level = 0 if found is None else found[0].level
            return found
        return decode_packet(data, at, self._level, size_max)

    def _take_publishes(self, data: bytes, at: int) -> int:
        columns = PublishColumns()
        is_v5 = self.session.version == V5
        stop = split_publishes(data, at, columns, is_v5=is_v5)
        if stop == at and is_v5:
            stop = split_described(data, at, columns)
        if stop > at:
            self._counters.publishes_received += len(columns.topics)
            self._counters.publish_bytes_received += stop - at
            self.perform(
                PublishBatch(
                    columns.topics,
                    columns.payloads,
                    columns.flags,
                    columns.packet_ids,
                    columns.properties or None,
                )
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
        self.perform(Failure(error.reason_code, version, str(error)))

    def perform(self, incoming: Input) -> None:
        """Feed the session and do what it says."""
        if type(incoming) is AppendRefused:
            self._note_refusal(incoming)
        try:
            for effect in self.session.handle(incoming):
                self._do(effect)
        except MqttError as error:
            self.fail(error)

    def _note_refusal(self, refused: AppendRefused) -> None:
        """Remember a refusal that 3.1.1 has no words for: until then its client waits in vain."""
        is_silent = self.session.version < V5 and refused.reason_code == ReasonCode.QUOTA_EXCEEDED
        if is_silent and (refused.packet_ids or refused.received_ids):
            self.unanswered_since_ms = self._hub.clock.monotonic_ms()

    def _do(self, effect: Effect) -> None:
        match effect:
            case Append(batch):
                self._append(batch)
            case Send(packets):
                self.write(packets)
            case SendSaved(packets):
                self._hub.sessions.save(self.session.state, lambda: self.write(packets))
            case Resume():
                if self.subscriber is not None:
                    self.subscriber.resume()
            case CloseConnection(is_told):
                self.close(is_told=is_told)
            case OpenState():
                self._open(effect)
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

    def _append(self, batch: PublishBatch) -> None:
        if self.quota is None:
            self._submit(batch)
        else:
            self.quota.submit(batch, self._submit)

    def _open(self, wish: OpenState) -> None:
        answer = self._hub.open(self, wish)
        if answer is None:
            self.read_or_not()
        else:
            self.perform(answer)

    def _submit(self, batch: PublishBatch) -> None:
        ingest = self._hub.ingest
        ingest.submit(self, self.session.state, batch)
        self._submitted = ingest.taken

    def answer(self, opened: Opened | ConnectRefused) -> None:
        """Answer a CONNECT that had to wait, and take what the client has sent behind it."""
        self.perform(opened)
        self._take_kept()

    def _take_kept(self) -> None:
        """Take what the client has sent behind a packet that had to wait."""
        self._is_behind = False
        self.read_or_not()
        rest = b"".join(self._pieces)
        self._drop_partial()
        if rest:
            self._take_or_keep(rest)

    def write(self, packets: bytes) -> None:
        """Write an answer to the client, unless it is gone."""
        self._counters.answers_sent += 1
        self._write(packets)

    def deliver(self, packets: bytes) -> None:
        """Write messages to the client, unless it is gone."""
        self._counters.publish_bytes_sent += len(packets)
        self._write(packets)

    def _write(self, packets: bytes) -> None:
        if self._is_taking:
            # One write answers everything that came with one read.
            self._answers.append(packets)
        else:
            self.writer.write(packets)

    def _write_answers(self) -> None:
        answers, self._answers = b"".join(self._answers), []
        self.writer.write(answers)

    @property
    def writable(self) -> asyncio.Transport | None:
        """What may be written to, as long as the connection isn't being closed."""
        transport = self.transport
        is_open = transport is not None and not transport.is_closing()
        return transport if is_open and self.closing_since_ms is None else None

    def close(self, *, is_told: bool = False) -> None:
        """Close after what was written; the hub's sweep cuts off a client that doesn't read.

        Who `is_told` why gets the time to read it.
        """
        if self._answers:
            self._write_answers()
        if self.transport is not None and self.closing_since_ms is None:
            self.closing_since_ms = self._hub.clock.monotonic_ms()
            if not (is_told and not self._hub.is_stopping and linger(self.transport, self)):
                self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def pause(self) -> None:
        """Stop reading: what this client has sent can't be stored yet."""
        self.is_paused = True
        self.read_or_not()

    def resume(self) -> None:
        """Read again."""
        self.is_paused = False
        self.was_heard = True
        self.read_or_not()

    def throttle(self, *, is_throttled: bool) -> None:
        """Stop reading, because the client's quota is used up, or read again."""
        self.is_throttled = is_throttled
        self.was_heard = True
        self.read_or_not()

    def read_or_not(self) -> None:
        """Read from the client, or not, as things are now."""
        transport = self.writable
        if transport is None:
            return
        is_silent = self._is_clogged or self.writer.is_owed_much or self._early is not None
        if self.is_held_back or is_silent:
            transport.pause_reading()
        else:
            transport.resume_reading()
