"""The asyncio shell of every machine here: thousands of actors, one timer, one protocol class.

It knows nothing of MQTT. A heap says who is due next; an actor is called when it is due and when
its connection opens, breaks or brings bytes, and what it then asks for is done at once.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import socket
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar, cast

from firmware_sim.effects import Dial, Effect, HangUp, Send
from gateway.clock import Clock

DIALS_MAX = 200
DIAL_TIMEOUT_S = 10.0
# After so many actors in one go the loop gets to read and write again.
TURN_MAX = 256
NEVER_MS = 1 << 62


class Actor(Protocol):
    """A sans-IO machine with at most one connection, and a time at which it wants to be called."""

    @property
    def next_due_ms(self) -> int | None: ...
    def advance(self, now_ms: int) -> list[Effect]: ...
    def opened(self, now_ms: int) -> list[Effect]: ...
    def lost(self, now_ms: int, why: str) -> None: ...
    def received(self, arrived: bytes, now_ms: int) -> list[Effect]: ...
    def block(self, now_ms: int, *, is_blocked: bool) -> list[Effect]: ...


A = TypeVar("A", bound=Actor)


class RunClock:
    """Milliseconds since the epoch that never step: wall time once, monotonic time from then on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._base_ms = clock.now_ms() - clock.monotonic_ms()

    def now_ms(self) -> int:
        return self._base_ms + self._clock.monotonic_ms()


def reason_of(error: OSError) -> str:
    """Say in the system's words why a connection could not be made."""
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer"
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)


class Link(asyncio.Protocol):
    """One connection; it speaks for its actor only as long as the switchboard holds it."""

    def __init__(self, board: Switchboard[A], index: int, dial: asyncio.Task[None] | None) -> None:
        self.index = index
        self.dial = dial
        self.transport: asyncio.Transport | None = None
        self._board = board

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport has all of its methods and none of its bases.
        self.transport = cast(asyncio.Transport, transport)
        self._board.connected(self)

    def data_received(self, data: bytes) -> None:
        self._board.heard(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._board.disconnected(self, str(exc or "the server closed the connection"))

    def pause_writing(self) -> None:
        self._board.blocked(self, is_blocked=True)

    def resume_writing(self) -> None:
        self._board.blocked(self, is_blocked=False)


class Switchboard(Generic[A]):
    """Connects actors to one server and wakes them in time."""

    def __init__(self, actors: Sequence[A], host: str, port: int, clock: RunClock) -> None:
        self.actors = actors
        self._clock = clock
        self._address = (host, port)
        self._links: list[Link | None] = [None] * len(actors)
        self._leaving: set[Link] = set()
        self._dials: dict[int, asyncio.Task[None]] = {}
        self._dial_slots = asyncio.Semaphore(DIALS_MAX)
        self._scheduled_ms = [NEVER_MS] * len(actors)
        self._heap: list[tuple[int, int]] = []
        self._timer: asyncio.Handle | None = None
        self._timer_due_ms = NEVER_MS
        self._is_stopped = False

    @property
    def connections(self) -> int:
        """How many connections are open, or on their way to be opened or closed."""
        is_open = sum(link is not None for link in self._links)
        return is_open + len(self._leaving) + len(self._dials)

    def start(self) -> None:
        """Begin to wake the actors; needs a running loop."""
        for index in range(len(self.actors)):
            self._reschedule(index)

    def command(self, act: Callable[[A, int], list[Effect]]) -> None:
        """Have every actor do one thing now."""
        for index, actor in enumerate(self.actors):
            now_ms = self._clock.now_ms()
            self._perform(index, act(actor, now_ms))

    async def stop(self) -> None:
        """Drop every connection that is still there and wake nobody any more."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._dials.values():
            task.cancel()
        await asyncio.gather(*self._dials.values(), return_exceptions=True)
        for index in range(len(self.actors)):
            self._hang_up(index, is_abrupt=True)
        for link in self._leaving:
            if link.transport is not None:
                link.transport.abort()

    def connected(self, link: Link) -> None:
        # A dial that was given up may still succeed before its cancellation arrives.
        if link.dial is not self._dials.get(link.index) and link.transport is not None:
            link.transport.abort()
            return
        self._links[link.index] = link
        self._perform(link.index, self.actors[link.index].opened(self._clock.now_ms()))

    def heard(self, link: Link, arrived: bytes) -> None:
        if self._links[link.index] is link:
            effects = self.actors[link.index].received(arrived, self._clock.now_ms())
            self._perform(link.index, effects)

    def disconnected(self, link: Link, why: str) -> None:
        self._leaving.discard(link)
        if self._links[link.index] is link:
            self._links[link.index] = None
            self.actors[link.index].lost(self._clock.now_ms(), why)
            self._reschedule(link.index)

    def blocked(self, link: Link, *, is_blocked: bool) -> None:
        if self._links[link.index] is link:
            actor = self.actors[link.index]
            self._perform(link.index, actor.block(self._clock.now_ms(), is_blocked=is_blocked))

    def _perform(self, index: int, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(payload):
                    link = self._links[index]
                    if link is not None and link.transport is not None:
                        link.transport.write(payload)
                case Dial():
                    if not self._is_stopped:
                        self._dials[index] = asyncio.create_task(self._dial(index))
                case HangUp(is_abrupt):
                    self._hang_up(index, is_abrupt=is_abrupt)
        self._reschedule(index)

    def _hang_up(self, index: int, *, is_abrupt: bool) -> None:
        task = self._dials.pop(index, None)
        if task is not None:
            task.cancel()
        link, self._links[index] = self._links[index], None
        if link is None or link.transport is None:
            return
        if is_abrupt:
            link.transport.abort()
        else:
            self._leaving.add(link)
            link.transport.close()

    async def _dial(self, index: int) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        try:
            async with self._dial_slots, asyncio.timeout(DIAL_TIMEOUT_S):
                await loop.create_connection(lambda: Link(self, index, task), *self._address)
        except OSError as error:
            self.actors[index].lost(self._clock.now_ms(), reason_of(error))
        finally:
            if self._dials.get(index) is task:
                del self._dials[index]
        self._reschedule(index)

    def _reschedule(self, index: int) -> None:
        """Note when an actor is due, if that is earlier than what is noted already.

        A later time needs nothing: it is found out when the noted one comes.
        """
        due_ms = self.actors[index].next_due_ms
        if due_ms is None or due_ms >= self._scheduled_ms[index] or self._is_stopped:
            return
        self._scheduled_ms[index] = due_ms
        heapq.heappush(self._heap, (due_ms, index))
        if due_ms < self._timer_due_ms:
            self._set_timer(due_ms)

    def _set_timer(self, due_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait_s = max(0, due_ms - self._clock.now_ms()) / 1_000
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(wait_s, self._wake) if wait_s else loop.call_soon(self._wake)
        self._timer_due_ms = due_ms

    def _wake(self) -> None:
        """Call every actor that is due, at most `TURN_MAX` in one go."""
        self._timer, self._timer_due_ms = None, -NEVER_MS
        heap, scheduled_ms = self._heap, self._scheduled_ms
        for _ in range(TURN_MAX):
            now_ms = self._clock.now_ms()
            if not heap or heap[0][0] > now_ms:
                break
            due_ms, index = heapq.heappop(heap)
            if scheduled_ms[index] == due_ms:
                scheduled_ms[index] = NEVER_MS
                self._perform(index, self.actors[index].advance(now_ms))
        self._timer_due_ms = NEVER_MS
        if heap and not self._is_stopped:
            self._set_timer(heap[0][0])
