"""The rule engine: committed records in, outputs out, the same ones each time.

Theory of operation. The engine reads no clock. Its time is the arrival time of the records, which
the log keeps: those of events, and of the ticks that are written when silence must be noticed.
Records are fed in the order in which every reader of the log sees them; how they are cut into calls
of `feed` changes nothing. Rules that share source, key and time share a lane, and a lane has one
timeline for each key. When the clock moves, silent timelines are moved first, in the order of what
comes next along each: (time, rule id, key); then the record itself is shown to its lanes, in the
order of the rule files. So each output has one cause, and a replay gives the same outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

import orjson

from gateway.events import Flag, RecordBatch, Run
from gateway.mqtt import matches
from gateway.rules.alarm_topics import read_command_topic
from gateway.rules.alarms import Outbox
from gateway.rules.command_lane import CommandLane
from gateway.rules.counters import RuleCounters
from gateway.rules.desk import Desk
from gateway.rules.desk_snapshots import snapshot_desk
from gateway.rules.device_facts import (
    GATEWAY_CLIENT,
    TWINS_STREAM,
    DeviceFacts,
    decode_fact,
    reads_facts,
)
from gateway.rules.fast_runs import take_run
from gateway.rules.instants import NEVER
from gateway.rules.lanes import Lane
from gateway.rules.lookups import LOOKUPS_STREAM, Version, decode_version
from gateway.rules.outputs import RULES_CLIENT, TICKS_STREAM, Output
from gateway.rules.partition_lanes import PartitionLane, lane_of
from gateway.rules.patterns.absences import AbsencePlan, on_its_clock
from gateway.rules.patterns.plans import streams_read, topic_filters, watched_lookup
from gateway.rules.patterns.watches import begin_again, expect, resume
from gateway.rules.payloads import decode_payload
from gateway.rules.plans import RulePlan, lane_name
from gateway.rules.rankings import on_shared_time
from gateway.rules.snapshots import Restoration, snapshot_lanes, snapshot_lookups
from gateway.rules.spec import RuleSpec
from gateway.rules.standing import Alarm
from gateway.rules.tallies import snapshot_counters, tally
from gateway.rules.timelines import Instant, Timeline
from gateway.rules.values import UNKNOWN, Value
from gateway.rules.watermarks import parse_event_time

TOPICS_MAX = 65_536
NOW_MS = "now_ms"
IS_START = "is_start"
NO_KEYS: Mapping[str, Sequence[str]] = {}
DecoderOf = Callable[[str], Callable[[bytes], Value] | None]


class Engine:
    """The rules of one rule set, with all their state."""

    def __init__(
        self,
        rules: Iterable[RuleSpec],
        inventories: Mapping[str, Sequence[str]] = NO_KEYS,
        decoder_of: DecoderOf | None = None,
    ) -> None:
        """Make the rules ready; `inventories` are the keys to expect, by the look-up's name.

        `decoder_of` names the decoder of a topic's payloads, which raises ValueError for what it
        can't decode; None means JSON.
        """
        rules = list(rules)
        self._outbox = Outbox()
        self._desk = self._outbox.desk = Desk(rules, self._outbox)
        self._command_lane = CommandLane(self._desk)
        self._inventories = dict(inventories)
        self._is_started = False
        specs_by_lane: dict[str, list[RuleSpec]] = {}
        for rule in rules:
            if rule.enabled:
                timed = on_shared_time(on_its_clock(rule))
                specs_by_lane.setdefault(lane_name(timed), []).append(timed)
        self.facts = DeviceFacts()
        self._reads_facts = reads_facts(rules)
        self._versions: dict[str, Version] = dict(self.facts.versions)
        self._new_versions: set[str] = set()
        self._lanes = [
            lane_of(name, specs, self._outbox, self._versions)
            for name, specs in specs_by_lane.items()
        ]
        self._lanes_by_partition = [one for one in self._lanes if isinstance(one, PartitionLane)]
        self._filters = [(lane, topic_filters(lane.spec)) for lane in self._lanes]
        self._lanes_by_topic: dict[str, tuple[Lane | CommandLane, ...]] = {}
        # Topics of which one lane alone reads, and reads runs at once.
        self._fast_by_topic: dict[str, Lane] = {}
        self._decoder_of = decoder_of
        self._decoders_by_topic: dict[str, Callable[[bytes], Value]] = {}
        self._lanes_by_stream = {
            stream: [lane for lane in self._lanes if stream in streams_read(lane.spec)]
            for lane in self._lanes
            for stream in streams_read(lane.spec)
        }

    @property
    def clock_ms(self) -> int:
        """The latest arrival time that was seen."""
        return self._outbox.clock_ms

    @property
    def lanes(self) -> Sequence[Lane]:
        """What its rules remember; to be looked at, not changed."""
        return self._lanes

    @property
    def desk(self) -> Desk:
        """How its alarms stand; to be looked at, not changed."""
        return self._desk

    @property
    def awaits_starts(self) -> bool:
        """Whether a tick that says `is_start` changes something; write one at each start."""
        patterns = (plan.pattern for plan in self._plans())
        return any(
            isinstance(pattern, AbsencePlan) and (pattern.grace_ms or pattern.lookup)
            for pattern in patterns
        )

    def expect(self, inventory: str, keys: Sequence[str]) -> None:
        """Expect other keys from the next record on: an inventory has changed."""
        self._inventories[inventory] = keys
        self._is_started = False

    @property
    def versions(self) -> Mapping[str, Version]:
        """What the look-ups hold."""
        return self._versions

    def disown(self, told: Mapping[str, Value]) -> None:
        """Clear an alarm of a rule that is gone; `told` is its last transition, decoded.

        For those of which the state doesn't know, because they rose after it was saved.
        """
        alarm = Alarm(told["severity"])
        alarm.n, alarm.message = told["n"], told["message"]
        alarm.since_ms = parse_event_time(told["since"]) or 0
        self._desk.disown(told["rule"], told["key"], alarm)

    def look_up(self, version: Version) -> None:
        """Let a look-up hold something else from the next record on."""
        self._versions[version.lookup] = version
        self._new_versions.add(version.lookup)
        if any(watched_lookup(lane.spec) == version.lookup for lane in self._lanes):
            self.expect(version.lookup, tuple(version.rows))

    @property
    def counters(self) -> Mapping[str, RuleCounters]:
        """What each rule has met so far, by rule id."""
        return tally(self._lanes, self._desk)

    def feed(self, batches: Iterable[RecordBatch]) -> list[Output]:
        """Take in the next records of the log; returns what they cause, in order."""
        for batch in batches:
            if batch.stream == TICKS_STREAM:
                self._feed_ticks(batch)
            elif batch.stream == LOOKUPS_STREAM:
                self._feed_lookups(batch)
            elif batch.stream == TWINS_STREAM and self._reads_facts:
                self._feed_twins(batch)
            elif batch.stream in self._lanes_by_stream:
                self._feed_derived(batch, self._lanes_by_stream[batch.stream])
            else:
                self._feed_events(batch)
        return self._outbox.take()

    def next_tick_ms(self) -> int | None:
        """The earliest arrival time at which silence alone could change something.

        None when it never can. A tick of that time or later, fed as a record, wakes the engine.
        """
        wake_ms = min((lane.wakes.next_ms() for lane in self._lanes), default=NEVER)
        wake_ms = min(wake_ms, self._desk.next_ms())
        return None if wake_ms >= NEVER else max(wake_ms, self._outbox.clock_ms + 1)

    def snapshot(self) -> Iterator[tuple[str, bytes | None]]:
        """What has changed since the last snapshot, as entries of a table; None deletes.

        Read all of it before the next `feed`.
        """
        yield from snapshot_lanes(self._lanes, self._outbox.clock_ms)
        yield from snapshot_desk(self._desk)
        yield from snapshot_counters(self._lanes, self._desk)
        names, self._new_versions = sorted(self._new_versions), set()
        yield from snapshot_lookups(self._versions[name] for name in names)
        yield from self.facts.snapshot()

    def restore(self, entries: Iterable[tuple[str, bytes]]) -> list[str]:
        """Take over every entry that snapshots have left; returns those that can be deleted.

        The entries come in the order of their names, before the first `feed`. A rule that has
        changed since keeps its alarms, and begins its windows anew.

        Raises:
            StateTooNew: a newer program wrote an entry.
        """
        restoration = self.restoration()
        restoration.take(entries)
        return self.settle(restoration)

    def restoration(self) -> Restoration:
        """Begin what `restore` does in one go, for who wants to do it piece by piece."""
        return Restoration(self._lanes, self._desk)

    def settle(self, restoration: Restoration) -> list[str]:
        """End a restoration; returns the entries that can be deleted."""
        self._outbox.clock_ms = restoration.clock_ms
        self._versions.update(restoration.versions)
        if self._reads_facts:
            self.facts.restore(restoration.facts)
        self._inventories |= {name: tuple(one.rows) for name, one in self._versions.items()}
        for lane, keys in self._inventories_of_lanes():
            resume(lane, keys)
        stale = restoration.finish()
        return stale if self._reads_facts else [*stale, *restoration.facts]

    def _feed_events(self, batch: RecordBatch) -> None:
        outbox = self._at(batch)
        lanes_by_topic, fast_by_topic = self._lanes_by_topic, self._fast_by_topic
        offset = batch.base_offset
        for run in batch.runs:
            count = len(run)
            if run.arrival_ms > outbox.clock_ms:
                outbox.offset = offset
                self._move_clock(run.arrival_ms)
            if run.client != RULES_CLIENT:
                outbox.client = run.client
                origins, index = run.origins, 0
                while index < count:
                    topic = origins[index].topic
                    lane = fast_by_topic.get(topic)
                    if lane is not None:
                        index = take_run(lane, run, index, offset + index, fast_by_topic)
                        continue
                    lanes = lanes_by_topic.get(topic)
                    if lanes is None:
                        self._resolve(topic)
                        continue
                    if lanes:
                        outbox.offset = offset + index
                        self._accept(lanes, run, index)
                    index += 1
            offset += count

    def _accept(self, lanes: Sequence[Lane | CommandLane], run: Run, index: int) -> None:
        """Show one event to its lanes."""
        (topic, device), raw = run.origins[index], run.payloads[index]
        is_claim = run.flags[index] >= Flag.CLAIM
        # What lies in a blob is seen as the reference: its digest and its size.
        loads = orjson.loads if is_claim else self._decoders_by_topic.get(topic, orjson.loads)
        try:
            payload: Value = loads(raw)
        except ValueError:
            payload = UNKNOWN
        for lane in lanes:
            lane.accept(payload, raw, topic, device, run.arrival_ms)

    def _feed_derived(self, batch: RecordBatch, lanes: Sequence[Lane]) -> None:
        """Show what rules have emitted to those that read it; nobody else's records count."""
        outbox = self._at(batch)
        outbox.client = RULES_CLIENT
        for record in batch.records():
            outbox.offset = record.offset
            if record.arrival_ms > outbox.clock_ms:
                self._move_clock(record.arrival_ms)
            if record.client != RULES_CLIENT:
                continue
            payload = decode_payload(record.payload)
            for lane in lanes:
                lane.accept(payload, record.payload, record.topic, record.device, record.arrival_ms)

    def _feed_twins(self, batch: RecordBatch) -> None:
        """Show each record to the lanes, and let what it says of a device hold after it."""
        for record in batch.records():
            self._feed_events(batch.slice(record.offset, record.offset + 1))
            fact = decode_fact(record.topic, record.payload)
            if fact is not None and record.client == GATEWAY_CLIENT:
                self.facts.take(fact)

    def _feed_lookups(self, batch: RecordBatch) -> None:
        """Take over new versions of look-ups; nobody else's records count."""
        outbox = self._at(batch)
        for record in batch.records():
            outbox.offset = record.offset
            if record.arrival_ms > outbox.clock_ms:
                self._move_clock(record.arrival_ms)
            version = decode_version(record.payload)
            if version is not None and record.client == RULES_CLIENT:
                self.look_up(version)

    def _feed_ticks(self, batch: RecordBatch) -> None:
        outbox = self._at(batch)
        for record in batch.records():
            outbox.offset = record.offset
            tick = decode_payload(record.payload)
            now_ms = tick.get(NOW_MS) if isinstance(tick, dict) else None
            now_ms = now_ms if type(now_ms) is int else 0
            if now_ms > outbox.clock_ms:
                self._move_clock(now_ms)
            if not now_ms or not isinstance(tick, dict) or record.client != RULES_CLIENT:
                continue
            if tick.get(IS_START) is True:
                for lane in self._lanes:
                    begin_again(lane, now_ms)
            self._take_notices(tick)

    def _take_notices(self, tick: Mapping[str, Value]) -> None:
        """Raise and clear what the gateway says of itself."""
        match tick:
            case {"mended": [str(fault), *key]}:
                self._desk.mend_fault(fault, *map(str, key[:1]))
            case {"fault": [str(fault), str(message), *key]}:
                self._desk.report_fault(fault, message, *map(str, key[:1]))
            case _:
                pass

    def is_faulty(self, fault: str) -> bool:
        """Whether the gateway has said so of itself."""
        return self._desk.is_up(fault, "")

    def _at(self, batch: RecordBatch) -> Outbox:
        outbox = self._outbox
        outbox.commit_no = batch.commit_no
        outbox.stream = batch.stream
        outbox.partition = batch.partition
        if self._desk.orphans:
            outbox.offset = batch.base_offset
            self._desk.dismiss_orphans()
        return outbox

    def forget_topics(self) -> None:
        """Find lanes and decoders of every topic again: what they go by is another."""
        self._lanes_by_topic.clear()
        self._fast_by_topic.clear()
        self._decoders_by_topic.clear()

    def _resolve(self, topic: str) -> None:
        """Find the lanes that read a topic; remembered, for as many topics as there is room."""
        if len(self._lanes_by_topic) >= TOPICS_MAX:
            self.forget_topics()
        lanes = tuple(
            lane
            for lane, filters in self._filters
            if any(matches(topic_filter, topic) for topic_filter in filters)
        )
        decode = None if self._decoder_of is None or not lanes else self._decoder_of(topic)
        if read_command_topic(topic) is not None:
            self._lanes_by_topic[topic] = (self._command_lane, *lanes)
            return
        self._lanes_by_topic[topic] = lanes
        if decode is not None:
            self._decoders_by_topic[topic] = decode
        elif len(lanes) == 1 and lanes[0].is_fast:
            self._fast_by_topic[topic] = lanes[0]

    def _plans(self) -> Iterator[RulePlan]:
        for lane in self._lanes:
            yield from lane.plans

    def _watch_inventories(self, now_ms: int) -> None:
        """Expect the keys of the inventories, of which some may never have been seen."""
        self._is_started = True
        for lane, keys in self._inventories_of_lanes():
            expect(lane, keys, now_ms)

    def _inventories_of_lanes(self) -> Iterator[tuple[Lane, Sequence[str]]]:
        for lane in self._lanes:
            lookup = watched_lookup(lane.spec)
            if lookup is not None:
                yield lane, self._inventories.get(lookup, ())

    def _move_clock(self, now_ms: int) -> None:
        """Let the silence up to `now_ms` have its effects, across all keys in order of time."""
        self._outbox.clock_ms = now_ms
        self._desk.fire(now_ms)
        if not self._is_started:
            self._watch_inventories(now_ms)
        awake: list[tuple[Instant, str, int, Timeline]] = []
        for number, lane in enumerate(self._lanes):
            entries = lane.wakes.entries
            if entries and entries[0][0] <= now_ms:
                for timeline in lane.wakes.take(now_ms):
                    lane.mark(timeline)
                    awake.append((timeline.next_instant(), timeline.text, number, timeline))
        heapify(awake)
        while awake:
            instant, text, number, timeline = heappop(awake)
            lane = self._lanes[number]
            if instant[0] > timeline.watermark_ms:
                lane.wakes.queue(timeline)
                continue
            lane.step(timeline)
            heappush(awake, (timeline.next_instant(), text, number, timeline))
        for lane_by_partition in self._lanes_by_partition:
            lane_by_partition.close_moments()
