"""The loop that shows every record to the rules, and writes what they say back into the log.

Theory of operation. Alerts leave at once; state is saved every few seconds, because flash wears.
Each commit of outputs carries a mark: the last record whose outputs are out. A checkpoint commits
outputs, mark, changed state and offsets together. After a crash the state of the last checkpoint is
restored and the records since then are read again: the engine repeats itself exactly, and what it
says up to the mark is already in the log. One commit is under way at a time; what the rules say
meanwhile goes into the next, so the log decides how many there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson
from msgspec import msgpack

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.events import Origin, RecordBatch, Run
from gateway.pipeline.device_facts import facts_before
from gateway.pipeline.evaluation_options import EvaluationOptions
from gateway.pipeline.lookup_files import LOOKUPS_SPEC, LookupFiles
from gateway.pipeline.outlets import ALARMS_TABLE, Outlets, Route, standing_puts
from gateway.pipeline.pieces import cut
from gateway.pipeline.progress import RULES_GROUP as GROUP
from gateway.pipeline.progress import Progress
from gateway.pipeline.puts import PutsOf, no_puts
from gateway.rules import (
    LOOKUPS_STREAM,
    RULES_CLIENT,
    RULES_INVALID,
    TICKS_STREAM,
    Cause,
    DecoderOf,
    Engine,
    Output,
    RuleCounters,
    RuleSet,
)
from gateway.store import ConsumerStore, Member, Put, begin_streams_at_end

TABLE = "rules"
MARK = "mark"
COMMITS_TABLE = "rule-commits"
SETS_TABLE = "rule-sets"
"""Which set of rules has begun last, by its digest, and what its rules meant."""
MEANINGS = "meanings"


class Content(NamedTuple):
    """What one commit makes durable."""

    outputs: Sequence[Output]
    puts: Sequence[Put]
    offsets: Mapping[tuple[str, int], int]


class RuleEvaluation:
    """The rules of one gateway at work on its log."""

    def __init__(  # noqa: PLR0913 - the parts it joins, and their options
        self,
        store: ConsumerStore,
        rules: RuleSet,
        streams: Sequence[str],
        route: Route,
        clock: Clock,
        options: EvaluationOptions | None = None,
        puts_of: PutsOf = no_puts,
        decoder_of: DecoderOf | None = None,
    ) -> None:
        """Take the parts; `puts_of` tells which tables must change with derived records.

        `decoder_of` knows how the payloads of a topic are decoded where they are not plain JSON.
        """
        self._store = store
        self._puts_of = puts_of
        self._commit_count = 0
        self._has_started = self._is_set_noted = False
        self._topic_streams = list(streams)
        self._clock = clock
        self._options = options or EvaluationOptions()
        self._decoder_of = decoder_of
        self._take_rules(rules)
        self._outlets = Outlets(route)
        self.progress = Progress()
        self._mark: Cause | None = None
        # Rules that mean something else than those which spoke up to the mark: they said nothing.
        self._unheard: set[str] = set()
        self._are_meanings_noted = False
        self._position: Cause | None = None
        self._outputs: list[Output] = []
        self._offsets: dict[tuple[str, int], int] = {}
        self._unsaved_records = 0
        self._checkpoint_ms = clock.monotonic_ms()
        self._ticked_ms = -1
        self._commit: asyncio.Task[None] | None = None
        self._next_rules: RuleSet | None = None
        self._swapped: asyncio.Future[None] | None = None
        self._ending = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stopped.set()

    def _take_rules(self, rules: RuleSet) -> None:
        self._rules = rules
        self._engine = Engine(rules.rules, rules.inventories, self._decoder_of)
        self._lookups = LookupFiles(self._store, self._clock, rules.lookups_used)
        own = [LOOKUPS_STREAM] if rules.lookups_used else []
        self._late_streams = [*rules.derived_streams_read, *own]
        self._streams = [*self._topic_streams, TICKS_STREAM, *self._late_streams]

    @property
    def rules(self) -> RuleSet:
        """The rules at work."""
        return self._rules

    @property
    def counters(self) -> Mapping[str, RuleCounters]:
        """What each rule has met so far, by rule id."""
        return self._engine.counters

    async def run(self) -> None:
        """Evaluate until `stop`; begins where the last checkpoint ended.

        Raises:
            MemberFenced: another gateway evaluates the rules of this log.
        """
        self._stopped.clear()
        try:
            await self._run_rules()
            while self._next_rules is not None and not self._stopping.is_set():
                rules, self._next_rules = self._next_rules, None
                self._take_rules(rules)
                self._ending.clear()
                await self._run_rules()
        finally:
            self._stopped.set()
            self._note_swap()

    async def _run_rules(self) -> None:
        """Evaluate with one set of rules, from its saved state until all of it is saved again."""
        await self._open_streams()
        await self._restore()
        await self._note_start()
        self._note_swap()
        member = self._store.join(GROUP, self._streams)
        watching = asyncio.create_task(self._lookups.watch())
        try:
            await self._evaluate(member)
            await self._settle_commit()
            await self._checkpoint(member)
            await self._settle_commit()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await member.close()

    def forget_topics(self) -> None:
        """Have every topic looked up again: the profiles are others, between two records."""
        self._engine.forget_topics()

    async def swap(self, rules: RuleSet) -> None:
        """Let other rules go on where these stand, between two records; returns when they do.

        Rules that mean the same keep their state; those that have changed keep their alarms and
        begin their windows anew; alarms of those that are gone are cleared.
        """
        self._next_rules = rules
        self._swapped = self._swapped or asyncio.get_running_loop().create_future()
        self._ending.set()
        await asyncio.shield(self._swapped)

    def _note_swap(self) -> None:
        swapped, self._swapped = self._swapped, None
        if swapped is not None:
            swapped.set_result(None)

    async def stop(self) -> None:
        """End `run` after the records it has read, its state saved."""
        self._stopping.set()
        self._ending.set()
        await self._stopped.wait()

    async def _open_streams(self) -> None:
        """See that the derived streams exist, and are read from here on if they never were."""
        for name in self._rules.emitted_streams:
            await self._store.ensure(self._options.derived_spec(name))
        if LOOKUPS_STREAM in self._streams:
            await self._store.ensure(LOOKUPS_SPEC)
        await begin_streams_at_end(self._store, GROUP, self._late_streams)
        await self._lookups.load()

    async def _restore(self) -> None:
        await self.progress.begin(self._store, GROUP)
        self._commit_count = int(await self._store.table(COMMITS_TABLE).get(GROUP) or b"0")
        table = self._store.table(TABLE)
        mark = await table.get(MARK)
        if mark is not None:
            self._mark = Cause(*msgpack.decode(mark))
        noted = await self._store.table(SETS_TABLE).get(MEANINGS)
        before = self._rules.meanings if noted is None else msgpack.decode(noted)
        now = self._rules.meanings
        self._unheard = {one for one in {**before, **now} if before.get(one) != now.get(one)}
        self._are_meanings_noted = noted is not None and before == self._rules.meanings
        entries = [entry for entry in await table.items() if entry[0] != MARK]
        restoration = self._engine.restoration()
        size = self._options.slice_records
        for start in range(0, len(entries), size):
            restoration.take(entries[start : start + size])
            await asyncio.sleep(0)
        stale = self._engine.settle(restoration)
        if self._unheard - now.keys():
            for _, told in await self._store.table(ALARMS_TABLE).items():
                self._engine.disown(orjson.loads(told))
        await self._look_up_at_first()
        if self._rules.reads_devices and not self._engine.facts.is_known:
            self._engine.facts.begin(await facts_before(self._store, GROUP))
        if stale:
            await self._store.append([], [Put(TABLE, name, None) for name in stale])

    async def _look_up_at_first(self) -> None:
        """Give the rules what held when they begin, where their state doesn't know."""
        if not (missing := self._rules.lookups_used.keys() - self._engine.versions.keys()):
            return
        offsets = [one.offsets for one in await self._store.groups() if one.name == GROUP]
        offset = max((one.get((LOOKUPS_STREAM, 0), 0) for one in offsets), default=0)
        versions = await self._lookups.versions_at(offset)
        for name in sorted(missing & versions.keys()):
            self._engine.look_up(versions[name])

    async def _note_start(self) -> None:
        """Write down which rules go on from where, and a start where a rule asks for it."""
        tick: dict[str, object] = {}
        puts = []
        if self._engine.awaits_starts and not self._has_started:
            tick["is_start"] = True
        digest = self._rules.digest
        before = await self._store.table(SETS_TABLE).get(GROUP)
        self._is_set_noted = before is not None
        if before is not None and before != digest.encode():
            offsets = [one.offsets for one in await self._store.groups() if one.name == GROUP]
            tick["rules"] = digest
            tick["offsets"] = sorted([*slot, at] for one in offsets for slot, at in one.items())
            puts.append(Put(SETS_TABLE, GROUP, digest.encode()))
        if self._engine.is_faulty(RULES_INVALID):
            tick["mended"] = [RULES_INVALID]
        self._has_started = True
        if tick:
            await self._append_tick({"now_ms": self._clock.now_ms(), **tick}, puts)

    async def report(self, fault: str, message: str) -> None:
        """Raise an alarm about the gateway itself, through the log."""
        await self._append_tick({"now_ms": self._clock.now_ms(), "fault": [fault, message]})

    async def mend(self, fault: str) -> None:
        """Clear such an alarm, if it is up."""
        if self._engine.is_faulty(fault):
            await self._append_tick({"now_ms": self._clock.now_ms(), "mended": [fault]})

    async def _evaluate(self, member: Member) -> None:
        ending = asyncio.ensure_future(self._ending.wait())
        polling = asyncio.ensure_future(member.poll())
        try:
            while not self._ending.is_set():
                waiting = {polling, ending} | ({self._commit} if self._commit else set())
                await asyncio.wait(
                    waiting, timeout=self._patience_s(), return_when=asyncio.FIRST_COMPLETED
                )
                if polling.done():
                    batches = await self._polled(polling)
                    polling = asyncio.ensure_future(member.poll())
                    await self._take(member, batches)
                else:
                    await self._tick()
                await self._commit_what_is_due(member)
        finally:
            polling.cancel()
            ending.cancel()
            await asyncio.gather(polling, ending, return_exceptions=True)

    async def _polled(
        self, polling: asyncio.Future[Sequence[RecordBatch]]
    ) -> Sequence[RecordBatch]:
        try:
            return polling.result()
        except StoreUnavailable:
            # The store reopens itself; nothing was read, so nothing is lost.
            await asyncio.sleep(self._options.retry_ms / 1_000)
            return ()

    async def _take(self, member: Member, batches: Sequence[RecordBatch]) -> None:
        for piece in cut(batches, self._options.slice_records):
            outputs = self._engine.feed(piece)
            self._note(piece, outputs)
            if self._outputs:
                await self._commit_what_is_due(member)
            # Let the listeners breathe: they share this thread.
            await asyncio.sleep(0)

    def _note(self, piece: Sequence[RecordBatch], outputs: list[Output]) -> None:
        for batch in piece:
            self._offsets[batch.stream, batch.partition] = batch.next_offset
            self._unsaved_records += batch.count
        self.progress.note(piece)
        last = piece[-1]
        self._position = Cause(last.commit_no, last.stream, last.partition, last.next_offset - 1)
        if self._mark is not None:
            mark, unheard = self._mark, self._unheard
            outputs = [o for o in outputs if o.cause > mark or o.rule in unheard]
            if self._position >= mark:
                self._mark = None
        self._outputs += outputs

    async def _tick(self) -> None:
        """Write the time down, if silence until now changes something."""
        now_ms = self._clock.now_ms()
        due_ms = self._engine.next_tick_ms()
        if due_ms is None or now_ms < due_ms or not self._may_tick():
            return
        self._ticked_ms = self._clock.monotonic_ms()
        await self._append_tick({"now_ms": now_ms})

    async def _append_tick(self, tick: Mapping[str, object], puts: Sequence[Put] = ()) -> None:
        payload, now_ms = orjson.dumps(tick), self._clock.now_ms()
        origin = Origin(TICKS_STREAM, TICKS_STREAM)
        run = Run(TICKS_STREAM, 0, RULES_CLIENT, now_ms, [origin], [payload], bytes(1))
        try:
            await self._store.append([run], puts)
        except StoreUnavailable:
            # The next patience ends in another try; until then silence goes unnoticed.
            return

    def _may_tick(self) -> bool:
        return self._ticked_ms < 0 or self._until_tick_ms() <= 0

    def _until_tick_ms(self) -> int:
        return self._ticked_ms + self._options.tick_interval_ms - self._clock.monotonic_ms()

    def _patience_s(self) -> float:
        """How long to wait for records before something else is due."""
        waits = [self._options.checkpoint_age_ms_max]
        if self._unsaved_records and self._commit is None:
            waits.append(self._until_checkpoint_ms())
        due_ms = self._engine.next_tick_ms()
        if due_ms is not None:
            until_ms = due_ms - self._clock.now_ms()
            waits.append(until_ms if self._ticked_ms < 0 else max(until_ms, self._until_tick_ms()))
        return max(0, min(waits)) / 1_000

    def _until_checkpoint_ms(self) -> int:
        """How long the unsaved records may wait."""
        options = self._options
        if self._unsaved_records >= options.checkpoint_records_max:
            return 0
        is_worth_it = self._unsaved_records >= options.checkpoint_records
        age_ms_max = options.checkpoint_age_ms_max
        if is_worth_it:
            age_ms_max = min(age_ms_max, options.checkpoint_interval_ms)
        return age_ms_max - (self._clock.monotonic_ms() - self._checkpoint_ms)

    async def _commit_what_is_due(self, member: Member) -> None:
        """Begin a commit if one is needed and none is under way, or too much is waiting."""
        if self._commit is not None and self._commit.done():
            await self._settle_commit()
        if self._commit is not None and len(self._outputs) < self._options.outputs_max:
            return
        is_checkpoint = self._unsaved_records > 0 and self._until_checkpoint_ms() <= 0
        if is_checkpoint or self._outputs:
            await self._settle_commit()
            await (self._checkpoint(member) if is_checkpoint else self._emit(member))

    async def _settle_commit(self) -> None:
        if self._commit is not None:
            commit, self._commit = self._commit, None
            await commit

    async def _emit(self, member: Member) -> None:
        await self._begin_commit(member, [], {})

    async def _checkpoint(self, member: Member) -> None:
        """Save what has changed, with the outputs and the offsets that belong to it."""
        if not self._unsaved_records:
            return
        puts = []
        for count, (name, value) in enumerate(self._engine.snapshot(), start=1):
            puts.append(Put(TABLE, name, value))
            if count % self._options.slice_records == 0:
                await asyncio.sleep(0)
        if not self._is_set_noted:
            puts.append(Put(SETS_TABLE, GROUP, self._rules.digest.encode()))
            self._is_set_noted = True
        offsets, self._offsets = self._offsets, {}
        self._unsaved_records = 0
        self._checkpoint_ms = self._clock.monotonic_ms()
        await self._begin_commit(member, puts, offsets)

    async def _begin_commit(
        self, member: Member, puts: list[Put], offsets: dict[tuple[str, int], int]
    ) -> None:
        outputs, self._outputs = self._outputs, []
        if self._mark is None:
            puts.append(Put(TABLE, MARK, msgpack.encode(self._position)))
            if not self._are_meanings_noted:
                puts.append(Put(SETS_TABLE, MEANINGS, msgpack.encode(self._rules.meanings)))
                self._are_meanings_noted = True
        content = Content(outputs, puts, offsets)
        self._commit = asyncio.ensure_future(self._persist(member, content))

    async def _persist(self, member: Member, content: Content) -> None:
        """Commit, again and again while the disk refuses: what comes later must not overtake it."""
        self._commit_count += 1
        own = Put(COMMITS_TABLE, GROUP, str(self._commit_count).encode())
        while True:
            try:
                outputs = await self._outlets.open_for(content.outputs, self._store)
                runs = self._outlets.runs_of(outputs, self._clock.now_ms())
                await member.commit(
                    outputs=runs,
                    state=[
                        *content.puts,
                        *self._puts_of(runs),
                        *standing_puts(outputs),
                        own,
                    ],
                    offsets=content.offsets,
                )
            except StoreUnavailable:
                await asyncio.sleep(self._options.retry_ms / 1_000)
                if await self._has_landed(own):
                    return
                if self._stopping.is_set():
                    raise
            else:
                return

    async def _has_landed(self, own: Put) -> bool:
        """Whether a commit that failed is in the log all the same: its alerts must not go twice."""
        try:
            return await self._store.table(COMMITS_TABLE).get(GROUP) == own.value
        except StoreUnavailable:
            return False
