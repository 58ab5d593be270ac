"""A fleet on virtual time: no sockets, no clock, the same every time, fast as the machine goes."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from firmware_sim.effects import Dial, Effect, HangUp, Send
from firmware_sim.sink import Sink, SinkConnection
from firmware_sim.switchboard import Actor

A = TypeVar("A", bound=Actor)


class VirtualRun(Generic[A]):
    """Actors and a sink, joined by links that take `latency_ms` each way."""

    def __init__(
        self, actors: Sequence[A], sink: Sink, start_ms: int, *, latency_ms: int = 2
    ) -> None:
        self.actors = actors
        self.sink = sink
        self.now_ms = start_ms
        self.digest = hashlib.blake2b(digest_size=16)
        """Over every byte that actors sent, with its time and sender: one seed, one digest."""
        self._latency_ms = latency_ms
        self._links: list[SinkConnection | None] = [None] * len(actors)
        self._generations = [0] * len(actors)
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._scheduled_ms: list[int | None] = [None] * len(actors)
        for index in range(len(actors)):
            self._reschedule(index)

    def run_until(self, end_ms: int) -> None:
        """Let everything happen that is due before `end_ms`, in order; then it is `end_ms`."""
        while self._due and self._due[0][0] < end_ms:
            at_ms, _, happen = heapq.heappop(self._due)
            self.now_ms = max(self.now_ms, at_ms)
            happen()
        self.now_ms = end_ms

    def command(self, act: Callable[[A, int], list[Effect]]) -> None:
        """Have every actor do one thing now."""
        for index, actor in enumerate(self.actors):
            self._perform(index, act(actor, self.now_ms))

    def break_all(self) -> None:
        """Lose every connection at once, as when the server dies."""
        for index, link in enumerate(self._links):
            if link is not None:
                self._drop(index)
                self.actors[index].lost(self.now_ms, "the server died")
                self._reschedule(index)

    def _at(self, at_ms: int, happen: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (at_ms, self._count, happen))

    def _soon(self, index: int, happen: Callable[[], None]) -> None:
        """After the latency, if the actor still has the same connection then."""
        generation = self._generations[index]

        def arrive() -> None:
            if self._generations[index] == generation:
                happen()

        self._at(self.now_ms + self._latency_ms, arrive)

    def _reschedule(self, index: int) -> None:
        due_ms = self.actors[index].next_due_ms
        noted_ms = self._scheduled_ms[index]
        if due_ms is None or (noted_ms is not None and noted_ms <= due_ms):
            return
        self._scheduled_ms[index] = due_ms
        self._at(max(due_ms, self.now_ms), lambda: self._wake(index, due_ms))

    def _wake(self, index: int, due_ms: int) -> None:
        if self._scheduled_ms[index] == due_ms:
            self._scheduled_ms[index] = None
            self._perform(index, self.actors[index].advance(self.now_ms))

    def _perform(self, index: int, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(payload):
                    self._send(index, payload)
                case Dial():
                    self._soon(index, lambda: self._open(index))
                case HangUp():
                    self._drop(index)
        self._reschedule(index)

    def _send(self, index: int, payload: bytes) -> None:
        self.digest.update(b"%d %d %d " % (self.now_ms, index, len(payload)) + payload)
        link = self._links[index]
        if link is not None:
            self._soon(index, lambda: link.received(payload))

    def _open(self, index: int) -> None:
        def write(answer: bytes) -> None:
            self._soon(index, lambda: self._hear(index, answer))

        self._links[index] = self.sink.connect(write)
        self._perform(index, self.actors[index].opened(self.now_ms))

    def _hear(self, index: int, answer: bytes) -> None:
        self._perform(index, self.actors[index].received(answer, self.now_ms))

    def _drop(self, index: int) -> None:
        self._generations[index] += 1
        link, self._links[index] = self._links[index], None
        if link is not None:
            link.close()
