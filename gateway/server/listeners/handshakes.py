"""The budget of TLS handshakes: so many at once, their heavy steps in a few threads.

A handshake costs up to a thousand times what a message costs. After a restart thousands of clients
want one at the same time; whoever is connected already must not notice.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import Protocol

from gateway.clock import Clock
from gateway.server.listeners.addresses import Peered, peer_of

LOG = logging.getLogger(__name__)
THREADS = 2
# A client that has not answered for this long makes room for another one when there is none left.
PATIENCE_MS = 1_000


class Step(Enum):
    """How a handshake stands after a step that did not fail."""

    DONE = auto()
    UNFINISHED = auto()


Outcome = Step | ssl.SSLError


class Handshaking(Peered, Protocol):
    """A connection whose handshake is under way."""

    def abort(self) -> None: ...


class Handshakes:
    """Every TLS handshake under way, of all listeners."""

    def __init__(self, at_once_max: int, clock: Clock) -> None:
        self._at_once_max = at_once_max
        self._clock = clock
        self._pool: ThreadPoolExecutor | None = None
        self._in_thread: set[Handshaking] = set()
        # Whoever waits for its client, longest first, and since when.
        self._waiting: dict[Handshaking, int] = {}
        self.refused = 0
        self.failed = 0
        self._failures_told = 0
        self._refusals_told = 0
        self._last_failure = ""

    def __len__(self) -> int:
        return len(self._in_thread) + len(self._waiting)

    def enter(self, connection: Handshaking) -> bool:
        """Whether another handshake may begin; the slowest idler is sent away for it."""
        now_ms = self._clock.monotonic_ms()
        if len(self) >= self._at_once_max and not self._send_away_an_idler(now_ms):
            self.refused += 1
            return False
        self._waiting[connection] = now_ms
        return True

    def _send_away_an_idler(self, now_ms: int) -> bool:
        idler, since_ms = next(iter(self._waiting.items()), (None, now_ms))
        if idler is None or now_ms - since_ms < PATIENCE_MS:
            return False
        self.leave(idler)
        self.refused += 1
        idler.abort()
        return True

    def leave(self, connection: Handshaking) -> None:
        """Its handshake is over, well or badly; repeating it does no harm."""
        self._waiting.pop(connection, None)
        self._in_thread.discard(connection)

    def step(
        self, connection: Handshaking, tls: ssl.SSLObject, then: Callable[[Outcome], None]
    ) -> None:
        """Advance a handshake in a thread; `then` hears on the loop how it stands.

        An error means that it failed. The caller leaves the TLS object and its buffers alone until
        then.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tls")
        self._waiting.pop(connection, None)
        self._in_thread.add(connection)
        future = asyncio.get_running_loop().run_in_executor(self._pool, advance, tls)

        def stepped(done: asyncio.Future[Outcome]) -> None:
            if connection in self._in_thread:
                self._in_thread.remove(connection)
                self._waiting[connection] = self._clock.monotonic_ms()
            if not done.cancelled():
                then(done.result())

        future.add_done_callback(stepped)

    def note_failure(self, connection: Handshaking, error: ssl.SSLError) -> None:
        """Count a handshake that failed; `tell` names the last one."""
        self.failed += 1
        self._last_failure = f"{peer_of(connection)}: {error.reason or error}"

    def tell(self) -> None:
        """Log what failed since the last time: one line, however many there were."""
        failed = self.failed - self._failures_told
        refused = self.refused - self._refusals_told
        self._failures_told, self._refusals_told = self.failed, self.refused
        if failed:
            LOG.info("%d TLS handshakes failed, the last from %s", failed, self._last_failure)
        if refused:
            LOG.warning(
                "%d TLS handshakes refused: more than %d at once", refused, self._at_once_max
            )

    def close(self) -> None:
        """End the threads; a step that is under way takes milliseconds."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def advance(tls: ssl.SSLObject) -> Outcome:
    """One step of a handshake, as far as the bytes that are there allow."""
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return Step.UNFINISHED
    except ssl.SSLError as error:
        return error
    return Step.DONE
