"""From batches of PUBLISH packets to the log, and back to their acknowledgements.

Everything that arrives in one turn of the event loop becomes one append; the store makes one commit
of all appends that wait. With the records go, in the same commit, the retained messages among them
and the session states that must survive. When the store can't write, what has arrived is held and
tried again, reading from the publishers stops, and after a while they are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from gateway.clock import Clock
from gateway.errors import StoreError, StoreFull, StoreUnavailable
from gateway.events import Flag, Run
from gateway.metrics import Counters, RecentMaximum
from gateway.mqtt import ReasonCode, Will, encode_properties
from gateway.routing import RetainedMessages, Route, Router, TopicRefused, cut_runs
from gateway.server.fences import Fences
from gateway.server.options import ServerOptions
from gateway.server.payload_checks import PayloadChecks, PayloadRefused
from gateway.server.receptions import Receptions
from gateway.server.repeats import SEQUENCE_PROPERTY, Repeats, sequence_of
from gateway.server.repeats import TABLE as FEATURES
from gateway.server.retaining import retained_puts
from gateway.server.spilling import Spilling
from gateway.server.submissions import Publisher, Submission, joined, split_control
from gateway.session import Appended, AppendRefused, PublishBatch, SessionState
from gateway.store import Appended as Committed
from gateway.store import Put, StreamStore

LOG = logging.getLogger(__name__)
RETRY_MS = (20, 50, 100, 200, 500, 1_000)
RECORD_BYTES = 64
HELD_MAX = 100_000
RECENT_MS = 10_000
NOT_STORED = "the log could not be written; the message is not stored"


class Ingest:
    """The one way into the log for what clients publish, and for what is kept of them."""

    weaker: Mapping[str, str] = MappingProxyType({})
    """The durability of those streams where it is weaker than `fsync`."""

    def __init__(
        self,
        store: StreamStore,
        router: Router,
        clock: Clock,
        retained: RetainedMessages,
        options: ServerOptions,
    ) -> None:
        self._store = store
        self.counters = Counters()
        self.router = router
        self._clock = clock
        self._retained = retained
        self._uncommitted_bytes_max = options.uncommitted_bytes_max
        self._refuse_after_ms = options.refuse_after_ms
        self._arrived: list[Submission] = []
        self._held: list[Submission] = []
        self._is_scheduled = False
        self._is_stopping = False
        self.taken = 0
        self.fences = Fences()
        self._retrying: asyncio.Task[None] | None = None
        self._commits: set[asyncio.Future[Committed]] = set()
        self._paused: set[Publisher] = set()
        self._on_settled: list[Callable[[], None]] = []
        self._receptions = Receptions()
        self.write_state: Callable[[SessionState, Sequence[bytes]], Put] | None = None
        self.repeats = Repeats(options.repeat_window_ms, options.repeat_windows_ms)
        self.payload_checks: PayloadChecks | None = None
        self.spilling: Spilling | None = None
        self._knows_sequences = False
        self.route_will: Callable[[str, str], Route] = lambda _, topic: router.route_of(topic)
        self.on_recovered: Callable[[], None] | None = None
        self._has_refused = False
        self.uncommitted_bytes = 0
        self.commit_ms = 0.0
        self.commit_ms_max = RecentMaximum(RECENT_MS)
        self.accepted = self.refused = 0

    @property
    def is_failing(self) -> bool:
        """Whether the store refuses what it is given."""
        return self._retrying is not None

    def submit(self, publisher: Publisher, state: SessionState, batch: PublishBatch) -> None:
        """Take a client's batch; the publisher hears `Appended` or `AppendRefused`, in order.

        Raises:
            MqttError: a topic name is wrong or has too many levels; nothing of the batch was taken.
        """
        if batch.wants_receipts and len(batch.topics) > 1:
            for single in batch.singles():
                self.submit(publisher, state, single)
            return
        try:
            routes = self._resolve(publisher, batch)
        except (TopicRefused, PayloadRefused) as error:
            self._submit_each(publisher, state, batch, error)
            return
        submission = Submission(
            publisher, batch.packet_ids, batch.received_ids, client_id=state.client_id
        )
        if batch.properties is not None:
            routes, batch = self._without_repeats(submission, state.client_id, routes, batch)
        if routes:
            submission.runs = self._cut(routes, batch, state.client_id)
        submission.size_bytes = sum(map(len, batch.payloads)) + RECORD_BYTES * len(batch.payloads)
        if batch.received_ids and state.is_kept:
            submission.state = state
            self._receptions.begin(state.client_id, batch.received_ids)
        submission.wants_receipt = batch.wants_receipts
        self._take(submission)
        if self.uncommitted_bytes > self._uncommitted_bytes_max and publisher not in self._paused:
            self._paused.add(publisher)
            publisher.pause()

    def _resolve(self, publisher: Publisher, batch: PublishBatch) -> list[Route]:
        """Where each message is stored, if all of them may be."""
        routes = (publisher.permit or self.router).routes_of(batch.topics)
        if self.payload_checks is not None:
            self.payload_checks.check(routes, batch.payloads)
        return routes

    def _without_repeats(
        self,
        submission: Submission,
        client_id: str,
        routes: list[Route],
        batch: PublishBatch,
    ) -> tuple[list[Route], PublishBatch]:
        """Leave out what was published before; it is acknowledged behind what was."""
        now_ms = self._clock.now_ms()
        new: list[int] = []
        for index, properties in enumerate(batch.properties or ()):
            sequence = sequence_of(properties)
            if sequence is not None:
                if not self.repeats.take((client_id, sequence), now_ms, routes[index].stream):
                    continue
                submission.identities.append((client_id, sequence))
            new.append(index)
        if submission.identities and not self._knows_sequences:
            self._knows_sequences = True
            submission.puts.append(Put(FEATURES, SEQUENCE_PROPERTY, b"1"))
        if len(new) == len(routes):
            return routes, batch
        return [routes[index] for index in new], batch.only(new)

    def _submit_each(
        self,
        publisher: Publisher,
        state: SessionState,
        batch: PublishBatch,
        error: TopicRefused | PayloadRefused,
    ) -> None:
        """Take the messages one by one, because one of them can't be stored, and refuse that."""
        if len(batch.topics) == 1:
            LOG.info("refused a message of '%s': %s", state.client_id, error)
            self.refused += 1
            refusal = AppendRefused(
                batch.packet_ids, batch.received_ids, error.reason_code, str(error)
            )
            publisher.perform(refusal)
            return
        for single in batch.singles():
            self.submit(publisher, state, single)

    def _cut(self, routes: Sequence[Route], batch: PublishBatch, client_id: str) -> list[Run]:
        now_ms = self._clock.now_ms()
        flags = bytes(batch.flags)
        return cut_runs(routes, batch.payloads, flags, client_id, now_ms, batch.properties)

    def submit_will(self, client_id: str, will: Will, state: SessionState | None = None) -> None:
        """Take a will message; `state` is saved with it.

        Spec: MQTT5 §3.1.2 [MQTT5-3.1.2-14] [MQTT5-3.1.2-15] [MQTT5-3.1.3-10],
        MQTT311 §3.1.2 [MQTT311-3.1.2-16] [MQTT311-3.1.2-17]
        """
        own = encode_properties(will.properties._replace(will_delay_interval_s=None))
        flags = will.qos << 1 | (Flag.RETAIN if will.retain else 0)
        batch = PublishBatch([], [will.payload], [flags], (), [own] if own else None)
        try:
            route = self.route_will(client_id, will.topic)
        except TopicRefused:
            LOG.warning("the will of '%s' names '%s', which no stream takes", client_id, will.topic)
            return
        runs = self._cut([route], batch, client_id)
        size = len(will.payload) + RECORD_BYTES
        self._take(Submission(runs=runs, size_bytes=size, state=state, client_id=client_id))

    def save(self, state: SessionState, on_durable: Callable[[], None] | None = None) -> None:
        """Write a session state with the next commit."""
        self._take(Submission(state=state, on_durable=on_durable))

    def submit_puts(self, puts: list[Put]) -> None:
        """Change tables with the next commit."""
        self._take(Submission(puts=puts))

    def submit_own(self, runs: list[Run], on_durable: Callable[[], None] | None = None) -> None:
        """Take what the gateway has to say itself."""
        size = sum(len(payload) + RECORD_BYTES for run in runs for payload in run.payloads)
        self._take(Submission(runs=runs, size_bytes=size, on_durable=on_durable))

    async def drain(self) -> None:
        """Return when nothing waits for a commit any more; the end is near, so read no more.

        What a disk has refused for longer than publishers wait is given up.
        """
        self._is_stopping = True
        while self._arrived or self._commits or self._held or self._is_spilling:
            settled = asyncio.Event()
            self._on_settled.append(settled.set)
            await settled.wait()

    @property
    def _is_spilling(self) -> bool:
        return self.spilling is not None and self.spilling.is_busy

    def _take(self, submission: Submission) -> None:
        self.uncommitted_bytes += submission.size_bytes
        spilling = self.spilling
        if spilling is not None:
            is_large = submission.size_bytes > spilling.least_bytes
            if (is_large or spilling.is_busy) and spilling.take(submission):
                return
        self.enqueue(submission)

    def enqueue(self, submission: Submission) -> None:
        """Let a submission go with the next commit, behind what came before."""
        self.taken += 1
        submission.number = self.taken
        if submission.runs:
            submission.puts += retained_puts(submission.runs, self._retained)
        self._arrived.append(submission)
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
            commit = self._append(submissions)
            begun_s = asyncio.get_running_loop().time()
            self._commits.add(commit)
            commit.add_done_callback(lambda done: self._committed(done, submissions, begun_s))

    def _append(self, submissions: list[Submission]) -> asyncio.Future[Committed]:
        runs = [run for submission in submissions for run in submission.runs]
        puts = [put for submission in submissions for put in submission.puts]
        states = {
            submission.state.client_id: submission.state
            for submission in submissions
            if submission.state is not None
        }
        if self.write_state is not None:
            for client_id, state in states.items():
                puts.append(self.write_state(state, self._receptions.of(client_id)))
        return asyncio.ensure_future(self._store.append(runs, puts))

    def _committed(
        self, commit: asyncio.Future[Committed], submissions: list[Submission], begun_s: float
    ) -> None:
        self._commits.discard(commit)
        if commit.cancelled():
            return
        error = commit.exception()
        if error is None:
            self._note_commit((asyncio.get_running_loop().time() - begun_s) * 1_000)
            self._acknowledge(submissions, commit.result())
        elif isinstance(error, StoreUnavailable):
            self._hold(submissions, error)
        elif isinstance(error, StoreError):
            self._give_up(submissions, error)
        else:
            raise error
        self._settle()

    def _note_commit(self, took_ms: float) -> None:
        self.counters.commits += 1
        self.counters.commit_ms_total += took_ms
        self.commit_ms = took_ms
        self.commit_ms_max.note(took_ms, self._clock.monotonic_ms())

    def _acknowledge(self, submissions: list[Submission], committed: Committed) -> None:
        """Tell everyone what is durable: one answer a publisher, but one a packet for receipts."""
        answers: dict[Publisher, Appended] = {}
        base_offsets = iter(committed.base_offsets)
        for submission in submissions:
            self.uncommitted_bytes -= submission.size_bytes
            place = self._count(submission, base_offsets)
            publisher = submission.publisher
            if publisher is None:
                continue
            answer = Appended(submission.packet_ids, submission.received_ids)
            if submission.wants_receipt:
                durability = self.weaker.get(place[0], "") if place else ""
                publisher.perform(replace(answer, place=place, durability=durability))
            else:
                earlier = answers.get(publisher)
                answers[publisher] = answer if earlier is None else joined(earlier, answer)
        for publisher, answer in answers.items():
            acknowledged = len(answer.packet_ids) + len(answer.received_ids)
            if acknowledged:
                # They leave in one write, which counts for itself.
                self.counters.answers_sent += acknowledged - 1
                publisher.perform(answer)
        for submission in submissions:
            self._finish(submission)
        self.fences.settle(submissions[-1].number)
        self._resume()
        if self._has_refused and committed.base_offsets and self.on_recovered is not None:
            self._has_refused = False
            self.on_recovered()

    def _count(
        self, submission: Submission, base_offsets: Iterator[int]
    ) -> tuple[str, int, int] | None:
        """Count what was stored; returns where the last run of it lies."""
        place: tuple[str, int, int] | None = None
        for run in submission.runs:
            self.accepted += len(run)
            place = (run.stream, run.partition, next(base_offsets))
        return place

    def _finish(self, submission: Submission) -> None:
        if submission.state is not None:
            self._receptions.end(submission.state.client_id, submission.received_ids)
        if submission.on_durable is not None:
            submission.on_durable()

    def _resume(self) -> None:
        if self._is_stopping:
            return
        if self._paused and self.uncommitted_bytes <= self._uncommitted_bytes_max // 2:
            paused, self._paused = self._paused, set()
            for publisher in paused:
                publisher.resume()

    def _settle(self) -> None:
        if not self._commits and not self._is_spilling:
            waiting, self._on_settled = self._on_settled, []
            for wake in waiting:
                wake()

    # -- when the store can't write

    def _hold(self, submissions: list[Submission], error: StoreUnavailable) -> None:
        self._held += submissions
        self.fences.open()
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
            if self._commits:
                # What was handed over before may fail too, and belongs before what is held.
                continue
            submissions = sorted(self._held, key=lambda one: one.number)
            self._held = []
            has_waited = (loop.time() - failing_since) * 1_000 > self._refuse_after_ms
            await self._offer_again(submissions, has_waited=has_waited)
        LOG.warning("nothing waits for the log any more, after %d tries", tries)
        self._retrying = None
        self._settle()

    async def _offer_again(self, submissions: list[Submission], *, has_waited: bool) -> None:
        try:
            committed = await self._append(submissions)
        except StoreUnavailable as error:
            if isinstance(error, StoreFull):
                submissions = await self._offer_control(submissions)
            self._held = submissions + self._held
            if has_waited and self._is_stopping:
                held, self._held = self._held, []
                self._give_up(held, error)
            elif has_waited:
                self._refuse_held()
        except StoreError as error:
            self._give_up(submissions, error)
        else:
            self._acknowledge(submissions, committed)

    async def _offer_control(self, submissions: list[Submission]) -> list[Submission]:
        """Have what needs no room for records stored by itself; return what still waits."""
        control, others = split_control(submissions)
        if control and others:
            with contextlib.suppress(StoreError):
                self._acknowledge(control, await self._append(control))
                return others
        return submissions

    def _give_up(self, submissions: list[Submission], error: StoreError) -> None:
        """Forget what can't be stored, and say so to those who can hear it."""
        LOG.error("%d submissions are not stored: %s", len(submissions), error)
        for submission in submissions:
            self._refuse(submission, ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR)
        self._resume()

    def refuse(self, submissions: Sequence[Submission]) -> None:
        """Forget what waited too long to be stored; publishers may send it again."""
        self._has_refused = True
        for submission in submissions:
            self._refuse(submission, ReasonCode.QUOTA_EXCEEDED)
        self._resume()
        self._settle()

    def _refuse_held(self) -> None:
        """Give up what publishers can send again; keep what only the gateway knows, bounded."""
        submissions = self._held
        self._held = [one for one in submissions if one.publisher is None]
        self.refuse([one for one in submissions if one.publisher is not None])
        excess = len(self._held) - HELD_MAX
        if excess > 0:
            LOG.error("%d wills and session states are given up: too many wait", excess)
            self.refuse(self._held[:excess])
            del self._held[:excess]

    def _refuse(self, submission: Submission, reason_code: ReasonCode) -> None:
        """Count a submission as not stored, and tell its publisher."""
        self.uncommitted_bytes -= submission.size_bytes
        self.refused += sum(map(len, submission.runs))
        if submission.state is not None:
            self._receptions.end(submission.state.client_id, submission.received_ids)
        self.repeats.forget(submission.identities)
        if submission.publisher is not None:
            ids = submission.packet_ids, submission.received_ids
            submission.publisher.perform(AppendRefused(*ids, reason_code, NOT_STORED))
        self.fences.settle(submission.number)
