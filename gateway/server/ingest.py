"""From batches of PUBLISH packets to the log, and back to their acknowledgements.

Everything that arrives in one turn of the event loop becomes one append; the store makes one commit
of all appends that wait. When the store can't write, what has arrived is held and tried again,
reading from the publishers stops, and after a while they are refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.events import Flag, Run
from gateway.mqtt import ReasonCode, Will, encode_properties
from gateway.routing import NoStreamForTopic, Router, cut_runs
from gateway.session import Appended, AppendRefused, PublishBatch
from gateway.store import Appended as Committed
from gateway.store import StreamStore

LOG = logging.getLogger(__name__)
RETRY_MS = (20, 50, 100, 200, 500, 1_000)


class Publisher(Protocol):
    """Where acknowledgements go: a connection."""

    def perform(self, incoming: Appended | AppendRefused) -> None: ...

    def pause(self) -> None:
        """Read nothing more until `resume`."""
        ...

    def resume(self) -> None: ...


@dataclass(slots=True)
class Submission:
    """One batch on its way to the log."""

    publisher: Publisher | None
    packet_ids: Sequence[bytes]
    runs: list[Run]
    size_bytes: int


class Ingest:
    """The one way into the log for what clients publish."""

    def __init__(
        self,
        store: StreamStore,
        router: Router,
        clock: Clock,
        *,
        uncommitted_bytes_max: int,
        refuse_after_ms: int,
    ) -> None:
        self._store = store
        self._router = router
        self._clock = clock
        self._uncommitted_bytes_max = uncommitted_bytes_max
        self._refuse_after_ms = refuse_after_ms
        self._arrived: list[Submission] = []
        self._held: list[Submission] = []
        self._is_scheduled = False
        self._retrying: asyncio.Task[None] | None = None
        self._commits: set[asyncio.Future[Committed]] = set()
        self._paused: set[Publisher] = set()
        self._on_settled: list[Callable[[], None]] = []
        self.uncommitted_bytes = 0
        self.accepted = 0
        self.refused = 0

    @property
    def is_failing(self) -> bool:
        """Whether the store refuses what it is given."""
        return self._retrying is not None

    def submit(self, publisher: Publisher, client_id: str, batch: PublishBatch) -> None:
        """Take a client's batch; the publisher hears `Appended` or `AppendRefused`, in order.

        Raises:
            MqttError: a topic name is wrong, or no stream takes it; nothing of the batch was taken.
        """
        routes = self._router.routes_of(batch.topics)
        now_ms = self._clock.now_ms()
        flags = bytes(batch.flags)
        runs = cut_runs(routes, batch.payloads, flags, client_id, now_ms, batch.properties)
        size = sum(map(len, batch.payloads)) + 64 * len(batch.payloads)
        self._take(Submission(publisher, batch.packet_ids, runs, size))
        if self.uncommitted_bytes > self._uncommitted_bytes_max and publisher not in self._paused:
            self._paused.add(publisher)
            publisher.pause()

    def submit_will(self, client_id: str, will: Will) -> None:
        """Take a will message; nobody waits for it."""
        try:
            route = self._router.route_of(will.topic)
        except NoStreamForTopic:
            LOG.warning("the will of '%s' names '%s', which no stream takes", client_id, will.topic)
            return
        flags = bytes([will.qos << 1 | (Flag.RETAIN if will.retain else 0)])
        own = encode_properties(will.properties._replace(will_delay_interval_s=None))
        now_ms = self._clock.now_ms()
        runs = cut_runs([route], [will.payload], flags, client_id, now_ms, [own] if own else None)
        self._take(Submission(None, (), runs, len(will.payload)))

    async def drain(self) -> None:
        """Return when nothing waits for a commit any more."""
        while self._arrived or self._commits or self._held:
            settled = asyncio.Event()
            self._on_settled.append(settled.set)
            await settled.wait()

    def _take(self, submission: Submission) -> None:
        self._arrived.append(submission)
        self.uncommitted_bytes += submission.size_bytes
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Hand everything that has arrived to the store, behind what it still owes."""
        self._is_scheduled = False
        submissions, self._arrived = self._arrived, []
        if self._retrying is not None:
            # Overtaking what is held would break the order of a device's events.
            self._held += submissions
            return
        if submissions:
            self._append(submissions)

    def _append(self, submissions: list[Submission]) -> None:
        runs = [run for submission in submissions for run in submission.runs]
        commit = asyncio.ensure_future(self._store.append(runs))
        self._commits.add(commit)
        commit.add_done_callback(lambda done: self._committed(done, submissions))

    def _committed(self, commit: asyncio.Future[Committed], submissions: list[Submission]) -> None:
        self._commits.discard(commit)
        if commit.cancelled():
            return
        error = commit.exception()
        if error is None:
            self._acknowledge(submissions)
        elif isinstance(error, StoreUnavailable):
            self._hold(submissions, error)
        else:
            raise error
        self._settle()

    def _acknowledge(self, submissions: list[Submission]) -> None:
        packet_ids_by_publisher: dict[Publisher, Sequence[bytes]] = {}
        for submission in submissions:
            self.uncommitted_bytes -= submission.size_bytes
            for run in submission.runs:
                self.accepted += len(run)
            publisher = submission.publisher
            if publisher is not None and submission.packet_ids:
                earlier = packet_ids_by_publisher.get(publisher)
                packet_ids_by_publisher[publisher] = (
                    submission.packet_ids if earlier is None else [*earlier, *submission.packet_ids]
                )
        for publisher, packet_ids in packet_ids_by_publisher.items():
            publisher.perform(Appended(packet_ids))
        self._resume()

    def _resume(self) -> None:
        if self._paused and self.uncommitted_bytes <= self._uncommitted_bytes_max // 2:
            paused, self._paused = self._paused, set()
            for publisher in paused:
                publisher.resume()

    def _settle(self) -> None:
        if not self._commits:
            waiting, self._on_settled = self._on_settled, []
            for wake in waiting:
                wake()

    # -- when the store can't write

    def _hold(self, submissions: list[Submission], error: StoreUnavailable) -> None:
        self._held += submissions
        if self._retrying is None:
            LOG.error("the log can't be written: %s; publishers wait", error)
            self._retrying = asyncio.ensure_future(self._retry())

    async def _retry(self) -> None:
        """Offer what is held again and again; refuse it when it has waited too long."""
        loop = asyncio.get_running_loop()
        failing_since = loop.time()
        tries = 0
        while self._held:
            await asyncio.sleep(RETRY_MS[min(tries, len(RETRY_MS) - 1)] / 1_000)
            tries += 1
            submissions, self._held = self._held, []
            runs = [run for submission in submissions for run in submission.runs]
            try:
                await self._store.append(runs)
            except StoreUnavailable:
                self._held = submissions + self._held
                if (loop.time() - failing_since) * 1_000 > self._refuse_after_ms:
                    self._refuse_held()
            else:
                LOG.warning("the log can be written again, after %d tries", tries)
                self._acknowledge(submissions)
        self._retrying = None
        self._settle()

    def _refuse_held(self) -> None:
        """Give up what is held, and say so to those who can hear it; keep no bytes of it."""
        submissions, self._held = self._held, []
        for submission in submissions:
            self.uncommitted_bytes -= submission.size_bytes
            self.refused += sum(map(len, submission.runs))
            if submission.publisher is not None:
                refusal = AppendRefused(submission.packet_ids, ReasonCode.QUOTA_EXCEEDED)
                submission.publisher.perform(refusal)
        self._resume()
