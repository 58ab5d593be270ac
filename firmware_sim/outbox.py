"""What a publisher still has to send and still has to hear about: bounded queues, sans-IO.

`waiting` is the offline buffer: readings that were never sent. What the services of a device say
goes ahead of them. In flight is what was sent at QoS 1 and not acknowledged. Connections come and
go without this module knowing; `publisher` says when.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

from firmware_sim.wire import Frame, mark_repeated

PACKET_ID_MAX = 65_535
FIRST_MAX = 64


class Journal(Protocol):
    """Hears what becomes of each reading, by its sequence number."""

    def sent(self, seq: int, *, is_repeat: bool) -> None:
        """It was written to a connection; at QoS 0 that is all that will ever be known."""
        ...

    def acknowledged(self, seq: int, latency_ms: int) -> None:
        """The server took it over, so long after it was last sent."""
        ...

    def refused(self, seq: int) -> None:
        """The server answered that it will not have it."""
        ...

    def overflowed(self, seq: int) -> None:
        """The buffer was full; this one, the oldest, made room."""
        ...

    def served(self, what: str) -> None:
        """Something that is no reading was acknowledged; it is counted by its name."""
        ...


class Outgoing(NamedTuple):
    """One reading on its way out; `is_repeat` when an earlier session sent it already."""

    seq: int
    frame: Frame
    payload: bytes
    is_repeat: bool = False
    is_copy: bool = False
    """Whether the device sends the reading a second time by a fault of its own."""
    note: str = ""
    """What it counts as when it is acknowledged; only what is no reading has one."""


class _InFlight(NamedTuple):
    outgoing: Outgoing
    packet: bytes
    sent_ms: int


class Outbox:
    """Keeps the order of what is offered, on the wire and on every repeat."""

    def __init__(self, journal: Journal, *, waiting_max: int, in_flight_max: int) -> None:
        self.in_flight_max = in_flight_max
        self._journal = journal
        self._waiting_max = waiting_max
        self._waiting: deque[Outgoing] = deque()
        self._first: deque[Outgoing] = deque(maxlen=FIRST_MAX)
        self._in_flight: dict[int, _InFlight] = {}
        self._packet_id = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._first)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def room(self) -> int:
        """How many more can be offered without pushing one out."""
        return self._waiting_max - len(self._waiting)

    def offer(self, outgoing: Outgoing) -> None:
        """Queue one; when the buffer is full the oldest is given up for it."""
        if len(self._waiting) >= self._waiting_max:
            self._give_up_oldest()
        self._waiting.append(outgoing)

    def offer_first(self, outgoing: Outgoing) -> None:
        """Queue one that is no reading, ahead of all readings."""
        self._first.append(outgoing)

    def _give_up_oldest(self) -> None:
        oldest = self._waiting.popleft()
        if not oldest.is_copy:
            self._journal.overflowed(oldest.seq)

    def take_sendable(self, now_ms: int) -> bytes:
        """Encode what may be sent now, oldest first: QoS 1 as far as the window goes, QoS 0 all."""
        packets = []
        while self._first and len(self._in_flight) < self.in_flight_max:
            packets.append(self._encode(self._first.popleft(), now_ms))
        while self._waiting:
            if self._waiting[0].frame.qos and len(self._in_flight) >= self.in_flight_max:
                break
            outgoing = self._waiting.popleft()
            packets.append(self._encode(outgoing, now_ms))
            is_repeat = outgoing.is_repeat or outgoing.is_copy
            self._journal.sent(outgoing.seq, is_repeat=is_repeat)
        return packets[0] if len(packets) == 1 else b"".join(packets)

    def _encode(self, outgoing: Outgoing, now_ms: int) -> bytes:
        if not outgoing.frame.qos:
            return outgoing.frame.encode(0, outgoing.payload)
        packet_id = self.next_packet_id()
        packet = outgoing.frame.encode(packet_id, outgoing.payload)
        self._in_flight[packet_id] = _InFlight(outgoing, packet, now_ms)
        return packet

    def next_packet_id(self) -> int:
        """An identifier that is not in use."""
        # An identifier stays in use until its PUBACK  # [MQTT5-2.2.1-3] [MQTT311-2.3.1-2]
        while True:
            self._packet_id = self._packet_id % PACKET_ID_MAX + 1
            if self._packet_id not in self._in_flight:
                return self._packet_id

    def take_repeats(self, now_ms: int) -> bytes:
        """Encode all that is in flight again, oldest first, with DUP and the same identifiers."""
        # [MQTT5-4.4.0-1] [MQTT311-4.4.0-1]
        packets = []
        for packet_id, entry in self._in_flight.items():
            packets.append(mark_repeated(entry.packet))
            self._in_flight[packet_id] = entry._replace(sent_ms=now_ms)
            if not entry.outgoing.note:
                self._journal.sent(entry.outgoing.seq, is_repeat=True)
        return b"".join(packets)

    def acknowledge(self, packet_id: int, now_ms: int) -> None:
        """Let go of what the server took over; an unknown identifier changes nothing."""
        entry = self._in_flight.pop(packet_id, None)
        if entry is None:
            return
        if entry.outgoing.note:
            self._journal.served(entry.outgoing.note)
        elif not entry.outgoing.is_copy:
            self._journal.acknowledged(entry.outgoing.seq, now_ms - entry.sent_ms)

    def refuse(self, packet_id: int) -> None:
        """Let go of what the server will not have."""
        entry = self._in_flight.pop(packet_id, None)
        if entry is None:
            return
        if entry.outgoing.note:
            self._journal.served("refused")
        elif not entry.outgoing.is_copy:
            self._journal.refused(entry.outgoing.seq)

    def forget_session(self) -> None:
        """Put what is in flight back to the front: the session is gone, it will be sent as new."""
        for entry in reversed(list(self._in_flight.values())):
            queue = self._first if entry.outgoing.note else self._waiting
            queue.appendleft(entry.outgoing._replace(is_repeat=True))
        self._in_flight.clear()
        while len(self._waiting) > self._waiting_max:
            self._give_up_oldest()
