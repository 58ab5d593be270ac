"""Fan-out after commit: from the tail of the log to every subscriber, in batches.

Theory of operation
-------------------
One loop reads the tail of all streams. `positions` is the next offset of each partition that this
loop has not handed out yet. A subscriber at the tail gets each matching message as it passes. One
that can't take a QoS 1 message leaves the tail with a copy of `positions`, corrected for the
message that it could not take, and reads the log itself; when its positions equal the loop's, it is
at the tail again. Both loops run on one event loop and compare without an await between, so nothing
is skipped or sent twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from gateway.clock import Clock
from gateway.errors import OffsetOutOfRange, StoreError
from gateway.events import Flag, RecordBatch, Run
from gateway.routing import RetainedMessages
from gateway.server.attendance import Attendance
from gateway.server.claims import Claims, reference_properties
from gateway.server.latest import LatestOffsets
from gateway.server.retained_delivery import RetainedDelivery, outgoing_of
from gateway.server.retaining import note_retained
from gateway.server.seats import Seat, Seats
from gateway.server.streaming import ReadPiece
from gateway.server.subscriber import Slot, Subscriber
from gateway.server.tails import Tails
from gateway.session import Outgoing, Position, Terms, current_properties
from gateway.store import StreamStore, Tail

LOG = logging.getLogger(__name__)
# About what a topic costs in the table of terms beside its name, and each subscriber of it.
TERMS_BYTES = 250
TERMS_BYTES_MAX = 64 << 20
YIELD_EVERY = 500
SEAT_PATIENCE_S = 0.1
QOS_BITS = 0x06
# What one subscriber may be given before it is asked whether its socket takes it.
UNWRITTEN_BYTES_MAX = 256 << 10
NOBODY: Mapping[Subscriber, Terms] = {}


class Fanout:
    """Hands committed records to the subscribers of their topics."""

    def __init__(
        self,
        store: StreamStore,
        slots: Sequence[Slot],
        clock: Clock,
        retained: RetainedMessages,
    ) -> None:
        self.store = store
        self.clock = clock
        self._retained = retained
        self.retained_delivery = RetainedDelivery(self, retained)
        self.tails = Tails(store, slots)
        self.tree = Attendance()
        self.positions: dict[Slot, int] = {}
        self.latest = LatestOffsets()
        self.delivered = 0
        self.claims: Claims | None = None
        self._terms_by_topic: dict[str, Mapping[Subscriber, Terms]] = {}
        self._terms_bytes = 0
        self._generation = -1
        self._touched: dict[Subscriber, None] = {}
        self._seats = Seats()

    async def start(self) -> None:
        """Find the log ends: what is committed from now on is handed out."""
        for stream, partition in self.tails.slots:
            bounds = await self.store.bounds(stream, partition)
            self.positions[stream, partition] = bounds.log_end_offset
        self.latest.begin(self.positions)

    async def run(self) -> None:
        """Hand out what is committed, until cancelled or the store is closed."""
        while await self._hand_out():
            pass

    async def _hand_out(self) -> bool:
        """Hand out what is committed until the log is closed; True if streams have been added."""
        streams = self.tails.streams
        tail = self.tails.open(self.positions)
        try:
            while batches := await tail.next():
                for batch in batches:
                    note_retained(batch, self._retained)
                    self.latest.note(batch)
                    if len(self.tree):
                        self._spread(batch)
                    self.positions[batch.stream, batch.partition] = batch.next_offset
                self._flush()
        finally:
            self.tails.close(tail)
        return streams is not self.tails.streams

    async def extend(self, slots: Sequence[Slot]) -> None:
        """Hand out partitions that have come since the start, from their first record on."""
        self.positions |= await self.tails.extend(slots)

    def terms_of(self, topic: str) -> Mapping[Subscriber, Terms]:
        """Every subscriber of a topic, with its terms; kept until a subscription changes."""
        if self._generation != self.tree.generation or self._terms_bytes > TERMS_BYTES_MAX:
            self._terms_by_topic.clear()
            self._terms_bytes = 0
            self._generation = self.tree.generation
        terms = self._terms_by_topic.get(topic)
        if terms is None:
            grants = self.tree.match(topic)
            terms = {
                one: Terms.of(found)
                for one, found in grants.items()
                if one.may_read is None or one.may_read(topic)
            } or NOBODY
            self._terms_by_topic[topic] = terms
            self._terms_bytes += len(topic) + TERMS_BYTES * (1 + len(terms))
        return terms

    def forget_terms(self) -> None:
        """Look anew who gets what: what somebody may read has changed."""
        self._generation = -1

    def _spread(self, batch: RecordBatch) -> None:
        """Give each record of a batch to its live subscribers; the hot loop of delivery.

        Spec: MQTT5 §4.5, §4.6 [MQTT5-3.3.2-3] [MQTT5-4.5.0-1] [MQTT5-4.6.0-5] [MQTT5-4.6.0-6],
        MQTT311 §4.5, §4.6 [MQTT311-3.3.2-3] [MQTT311-4.5.0-1] [MQTT311-4.6.0-5] [MQTT311-4.6.0-6]
        """
        stream, partition = batch.stream, batch.partition
        offset = batch.base_offset
        terms_of = self.terms_of
        unwritten_bytes = 0
        for run in batch.runs:
            for index, origin in enumerate(run.origins):
                terms_by_subscriber = terms_of(origin.topic)
                if terms_by_subscriber:
                    message = self.message(run, index)
                    if message is not None:
                        unwritten_bytes += len(message.payload)
                        if unwritten_bytes > UNWRITTEN_BYTES_MAX:
                            unwritten_bytes = 0
                            self._flush()
                        position = Position(stream, partition, offset, message.qos)
                        if message.flags >= Flag.CLAIM:
                            terms_by_subscriber = self._send_after(terms_by_subscriber, position)
                        self._give(message, terms_by_subscriber, run.client, position)
                    elif run.flags[index] & QOS_BITS:
                        self._expire(terms_by_subscriber, run.client)
                offset += 1

    def message(self, run: Run, index: int, *, is_sent: bool = False) -> Outgoing | None:
        """One record, to be delivered; None when it has expired and is not to be sent again."""
        properties = b""
        if run.properties is not None:
            now_ms = self.clock.now_ms()
            encoded = run.properties[index]
            current = current_properties(encoded, run.arrival_ms, now_ms, is_sent=is_sent)
            if current is None:
                return None
            properties = current
        topic = run.origins[index].topic.encode()
        flags, payload = run.flags[index], run.payloads[index]
        if flags >= Flag.CLAIM:
            properties += reference_properties(payload)
        return Outgoing(topic, payload, flags, properties, run.arrival_ms)

    def _send_after(
        self, terms_by_subscriber: Mapping[Subscriber, Terms], position: Position
    ) -> Mapping[Subscriber, Terms]:
        """Leave a payload in a blob to the own reading of those who want it; returns the others."""
        for subscriber, terms in terms_by_subscriber.items():
            if subscriber.is_live and not terms.takes_references:
                self._leave_tail(subscriber, position)
        return {one: terms for one, terms in terms_by_subscriber.items() if terms.takes_references}

    def _expire(self, terms_by_subscriber: Mapping[Subscriber, Terms], client: str) -> None:
        """Note that a message was too old when its turn came."""
        for subscriber, terms in terms_by_subscriber.items():
            own = terms.for_message_of(client, subscriber.client_id)
            if subscriber.is_live and own is not None and own.qos:
                subscriber.miss()

    def _give(
        self,
        message: Outgoing,
        terms_by_subscriber: Mapping[Subscriber, Terms],
        client: str,
        position: Position,
    ) -> None:
        touched = self._touched
        for subscriber, terms in terms_by_subscriber.items():
            if not subscriber.is_live:
                continue
            if terms.no_local:
                own = terms.for_message_of(client, subscriber.client_id)
                if own is None:
                    continue
                terms = own
            if subscriber.is_clogged:
                if message.qos == 0 or terms.qos == 0:
                    subscriber.hold(message, terms, position)
                else:
                    self._leave_tail(subscriber, position)
            elif subscriber.delivery.offer(message, terms, position):
                touched[subscriber] = None
                self.delivered += 1
            else:
                self._leave_tail(subscriber, position)

    def _flush(self) -> None:
        touched, self._touched = self._touched, {}
        for subscriber in touched:
            subscriber.flush()

    def _leave_tail(self, subscriber: Subscriber, position: Position) -> None:
        slot = (position.stream, position.partition)
        self.follow(subscriber, {**self.positions, slot: position.offset})

    def positions_of(self, subscriber: Subscriber) -> Mapping[Slot, int]:
        """Where a subscriber stands in the log."""
        return self.positions if subscriber.is_live else subscriber.positions

    # -- catching up

    def follow(self, subscriber: Subscriber, positions: Mapping[Slot, int]) -> None:
        """Let a subscriber read the log from `positions` on, until it is at the tail."""
        subscriber.leave_tail()
        known = {slot: offset for slot, offset in positions.items() if slot in self.positions}
        subscriber.positions = {**self.positions, **self.tails.starts, **known}
        subscriber.start(asyncio.ensure_future(self._catch_up(subscriber)))

    async def redeliver(self, subscriber: Subscriber) -> None:
        """Send again what an earlier connection left unacknowledged, in its order.

        Spec: MQTT5 §4.4, §4.6 [MQTT5-4.6.0-1], MQTT311 §4.6 [MQTT311-4.6.0-1]
        """
        delivery = subscriber.delivery
        # [MQTT5-3.3.4-10]: a PUBREL needs no room.
        delivery.repeat_releases()
        in_flight = list(subscriber.state.in_flight.items())
        delivery.unrepeated = len(in_flight)
        for packet_id, position in in_flight:
            await subscriber.wait_to_repeat()
            sent = await self.find(position, is_sent=True)
            found = None
            if sent is not None:
                found = await self._as_wanted(subscriber, sent, position.qos)
            if found is None or packet_id not in subscriber.state.in_flight:
                # Retention has removed it: there is nothing left to send under this identifier.
                if subscriber.state.in_flight.pop(packet_id, None) is not None:
                    subscriber.state.tally.expired += 1
                delivery.unrepeated -= 1
                continue
            terms, message = found
            subscriber.repeat(message, terms, packet_id, position.qos)
        subscriber.flush()

    async def _as_wanted(
        self, subscriber: Subscriber, found: tuple[str, str, Outgoing], qos: int
    ) -> tuple[Terms, Outgoing] | None:
        """What was found, with its payload or the reference; None when the payload is gone."""
        topic, _, message = found
        terms = self.terms_of(topic).get(subscriber) or Terms(
            qos, no_local=False, retain_as_published=False, subscription_ids=b""
        )
        whole = message if terms.takes_references else await self.resolve(message)
        return None if whole is None else (terms, whole)

    async def find(
        self, position: Position, *, is_sent: bool = False
    ) -> tuple[str, str, Outgoing] | None:
        """Topic, device and message that were sent from a position; None when gone or expired.

        What `is_sent` to the same client does not expire.
        """
        if not position.stream:
            retained = self._retained.get(position.topic)
            if retained is None:
                return None
            again = outgoing_of(position.topic, retained, retained.properties)
            return position.topic, "", again
        batch = await self._fetch(position.stream, position.partition, position.offset)
        if batch is None:
            return None
        run = batch.runs[0]
        message = self.message(run, 0, is_sent=is_sent)
        origin = run.origins[0]
        return None if message is None else (origin.topic, origin.device, message)

    async def _fetch(self, stream: str, partition: int, offset: int) -> RecordBatch | None:
        try:
            chunk = await self.store.fetch(stream, partition, offset, records_max=1)
        except OffsetOutOfRange:
            return None
        batch = chunk.batches[0] if chunk.batches else None
        return batch if batch is not None and batch.base_offset == offset else None

    async def _catch_up(self, subscriber: Subscriber) -> None:
        try:
            await self._read_on(subscriber)
        except StoreError as error:
            LOG.warning("'%s' can't be brought up to date: %s", subscriber.client_id, error)
            # Its next connection begins where this one stands.
            subscriber.abort()

    async def _read_on(self, subscriber: Subscriber) -> None:
        while await self._read_streams(subscriber):
            pass

    async def _read_streams(self, subscriber: Subscriber) -> bool:
        """Bring a subscriber to the tail; True if streams have been added before it was there."""
        streams = self.tails.streams
        for slot, start in self.tails.starts.items():
            subscriber.positions.setdefault(slot, start)
        if subscriber.positions == self.positions:
            self._rejoin(subscriber)
            return False
        seat = subscriber.seat = self._seats.seat()
        tail = self.tails.open(subscriber.positions)
        try:
            while batches := await self._next_of(tail, seat):
                for batch in batches:
                    await self._bring(subscriber, seat, batch)
                    subscriber.positions[batch.stream, batch.partition] = batch.next_offset
                subscriber.flush()
                if subscriber.positions == self.positions:
                    self._rejoin(subscriber)
                    return False
                await subscriber.wait_for_room()
        finally:
            self.tails.close(tail)
            seat.give_back()
        return streams is not self.tails.streams

    async def _next_of(self, tail: Tail, seat: Seat) -> Sequence[RecordBatch]:
        """Read on, on a seat; who waits for what is not there yet does not keep it."""
        await seat.take()
        patience = asyncio.get_running_loop().call_later(SEAT_PATIENCE_S, seat.give_back)
        try:
            batches = await tail.next()
        finally:
            patience.cancel()
        await seat.take()
        return batches

    def _rejoin(self, subscriber: Subscriber) -> None:
        subscriber.flush()
        subscriber.rejoin()

    async def _bring(self, subscriber: Subscriber, seat: Seat, batch: RecordBatch) -> None:
        """Send one subscriber what it wants of a batch, at the pace at which it acknowledges."""
        positions = subscriber.positions
        offset = batch.base_offset
        slot = (batch.stream, batch.partition)
        for run in batch.runs:
            for index, origin in enumerate(run.origins):
                terms = self.terms_of(origin.topic).get(subscriber)
                if terms is not None:
                    terms = terms.for_message_of(run.client, subscriber.client_id)
                if terms is not None:
                    message = self.message(run, index)
                    if message is not None:
                        positions[slot] = offset
                        await self.press(subscriber, message, terms, Position(*slot, offset, 3))
                    elif terms.qos and run.flags[index] & QOS_BITS:
                        subscriber.miss()
                offset += 1
                if offset % YIELD_EVERY == 0:
                    positions[slot] = offset
                    await self.breathe(subscriber)
                    # Whoever had to wait for its client has lost its seat.
                    await seat.take()

    async def breathe(self, subscriber: Subscriber) -> None:
        """Let everybody else have a turn."""
        subscriber.flush()
        await asyncio.sleep(0)

    async def press(
        self, subscriber: Subscriber, message: Outgoing, terms: Terms, position: Position
    ) -> None:
        """Offer a message until the client takes it."""
        if message.flags >= Flag.CLAIM and not terms.takes_references:
            whole = await self.resolve(message)
            if whole is None:
                if min(terms.qos, message.qos):
                    subscriber.miss()
                return
            message = whole
        while subscriber.is_clogged or not subscriber.offer(message, terms, position):
            subscriber.flush()
            await subscriber.wait_for_room()
        self.delivered += 1

    @property
    def read_piece(self) -> ReadPiece | None:
        """What reads payloads that are streamed."""
        return None if self.claims is None else self.claims.piece

    async def resolve(self, message: Outgoing) -> Outgoing | None:
        """The message with its whole payload, wherever that lies; None when it is gone."""
        if message.flags < Flag.CLAIM or self.claims is None:
            return message
        return await self.claims.resolve(message)
