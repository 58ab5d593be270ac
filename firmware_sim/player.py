"""Publishes a recording at its own pace or as fast as it is acknowledged; sans-IO."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.account import Account, Tally
from firmware_sim.effects import Effect
from firmware_sim.line import LineOptions, Phase
from firmware_sim.outbox import Outgoing
from firmware_sim.publisher import Publisher
from firmware_sim.recording import Row
from firmware_sim.wire import PublishFrame

FRAMES_MAX = 10_000


class Player:
    """One client that publishes rows in their order; an actor."""

    def __init__(
        self,
        rows: Iterator[Row],
        options: LineOptions,
        *,
        qos: int,
        window: int,
        speed: float | None,
    ) -> None:
        """`speed` is how many seconds of the recording pass in one; None is as fast as possible."""
        self.tally = Tally()
        self.publisher = Publisher(
            options,
            Account(self.tally, keeps_readings=False),
            0,
            waiting_max=2 * window,
            in_flight_max=window,
        )
        self._rows = rows
        self._options = options
        self._qos = qos
        self._window = window
        self._speed = speed
        self._frames: dict[str, PublishFrame] = {}
        self._next = next(rows, None)
        self._seq = 0
        self._first_ms = self._next.time_ms if self._next else 0
        self._began_ms: int | None = None

    @property
    def is_done(self) -> bool:
        """Whether every row is acknowledged; at QoS 0, sent."""
        return self._next is None and self.publisher.is_idle

    @property
    def next_due_ms(self) -> int | None:
        due_ms = self.publisher.line.next_due_ms
        if not self._has_room():
            return due_ms
        row_ms = self._row_due_ms()
        return row_ms if due_ms is None else min(due_ms, row_ms)

    def advance(self, now_ms: int) -> list[Effect]:
        return self.publisher.advance(now_ms) + self._play(now_ms)

    def opened(self, now_ms: int) -> list[Effect]:
        return self.publisher.opened(now_ms)

    def lost(self, now_ms: int, why: str) -> None:
        self.publisher.lost(now_ms, why)

    def received(self, arrived: bytes, now_ms: int) -> list[Effect]:
        return self.publisher.received(arrived, now_ms) + self._play(now_ms)

    def block(self, now_ms: int, *, is_blocked: bool) -> list[Effect]:
        return self.publisher.block(now_ms, is_blocked=is_blocked) + self._play(now_ms)

    def close(self, now_ms: int) -> list[Effect]:
        """Leave for good."""
        self._next = None
        return self.publisher.line.close(now_ms)

    def _has_room(self) -> bool:
        publisher = self.publisher
        return (
            self._next is not None
            and publisher.line.phase is Phase.UP
            and not publisher.is_blocked
            and publisher.outbox.waiting + publisher.outbox.in_flight < self._window
        )

    def _row_due_ms(self) -> int:
        """When the next row is to be sent; the first row sets the beat."""
        if self._speed is None or self._began_ms is None or self._next is None:
            return 0
        return self._began_ms + int((self._next.time_ms - self._first_ms) / self._speed)

    def _play(self, now_ms: int) -> list[Effect]:
        """Offer every row that is due, as far as the window goes."""
        if not self._has_room():
            return []
        if self._began_ms is None:
            self._began_ms = now_ms
        outbox = self.publisher.outbox
        room = self._window - outbox.waiting - outbox.in_flight
        outgoings: list[Outgoing] = []
        while self._next is not None and len(outgoings) < room and self._row_due_ms() <= now_ms:
            outgoings.append(Outgoing(self._seq, self._frame(self._next.topic), self._next.payload))
            self.tally.taken += 1
            self._seq += 1
            self._next = next(self._rows, None)
        return self.publisher.offer(outgoings, now_ms)

    def _frame(self, topic: str) -> PublishFrame:
        frame = self._frames.get(topic)
        if frame is None:
            if len(self._frames) >= FRAMES_MAX:
                self._frames.clear()
            frame = PublishFrame(topic, self._qos, self._options.version)
            self._frames[topic] = frame
        return frame
