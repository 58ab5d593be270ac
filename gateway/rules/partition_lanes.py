"""Rules on the time of whole partitions: every key goes on with its neighbours (RULES T6).

All that has no equal in `gateway.rules.lanes` is that events are held until the tide has passed
them, and that a tide moves many keys at once: in the order of time, rule id and key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from gateway.rules.alarms import Outbox
from gateway.rules.event_names import Event
from gateway.rules.instants import NEVER
from gateway.rules.lanes import Lane
from gateway.rules.lookups import Version
from gateway.rules.plans import NO_VERSIONS
from gateway.rules.spec import RuleSpec
from gateway.rules.tides import Tide, TideName, Tides
from gateway.rules.timelines import HELD_MAX, Timeline
from gateway.rules.values import Value


class PartitionLane(Lane):
    """A lane whose keys share the time of their partitions."""

    def __init__(
        self,
        name: str,
        specs: Sequence[RuleSpec],
        outbox: Outbox,
        versions: Mapping[str, Version] = NO_VERSIONS,
    ) -> None:
        super().__init__(name, specs, outbox, versions)
        self.tides = Tides(self.time, self.timelines, self._awaited_ms)
        self.wakes = self.tides
        self.is_fast = False

    def accept(self, payload: Value, raw: bytes, topic: str, device: str, arrival_ms: int) -> None:
        """Take in an event as it arrives."""
        self.accepted += 1
        self.scope |= {
            "payload": payload, "topic": topic, "device": device, "arrival": arrival_ms,
        }  # fmt: skip
        timeline = self.find(device, arrival_ms)
        if timeline is None:
            return
        tide = self.tides.tide((self.outbox.stream, self.outbox.partition))
        tide.arrival_ms = arrival_ms
        tide.is_dirty = True
        timeline.arrival_ms = arrival_ms
        self.mark(timeline)
        self.tides.join(timeline, tide)
        self.tides.refresh(timeline)
        event = (0, arrival_ms, topic, device, raw, payload)
        time_ms = self._judged_ms(timeline, event)
        if time_ms is not None:
            self._keep(timeline, (time_ms, *event[1:]))
            tide.newest_ms = max(tide.newest_ms, time_ms)
            tide.rise(tide.newest_ms - self.time.out_of_order_ms)
        self._flow(self.tides.passed(self.tides.reach[timeline.text], timeline))
        self.close_moments()

    def watermark_of(self, timeline: Timeline) -> int:
        """How far the time of a key has come."""
        self.tides.refresh(timeline)
        return timeline.watermark_ms

    def close_moments(self) -> None:
        """Rank what was to be emitted at the moments that every key has passed."""
        for plan in self.plans:
            ranking = plan.ranking
            if ranking is not None and ranking.moments:
                until_ms = max(self.tides.lowest_ms(), ranking.must_close_ms)
                self.outbox.emit_best(plan, until_ms)

    def _awaited_ms(self) -> int:
        """The moment that all tides must pass, so that something is done; NEVER if none is."""
        rankings = (plan.ranking for plan in self.plans)
        return min((one.first_ms for one in rankings if one is not None), default=NEVER)

    def _judged_ms(self, timeline: Timeline, event: Event) -> int | None:
        arrival_ms = event[1]
        if self.is_by_arrival:
            return max(arrival_ms, timeline.watermark_ms)
        field = self.time.field
        time = field(self.scope) if field is not None else arrival_ms
        return self.time_of(timeline, (time, *event[1:]))

    def _keep(self, timeline: Timeline, event: Event) -> None:
        """Hold an event until the tide has passed it; beyond `HELD_MAX` the oldest go on early."""
        heappush(timeline.held, (event[0], timeline.held_no, event))
        timeline.held_no += 1
        timeline.newest_ms = max(timeline.newest_ms, event[0])
        if len(timeline.held) > HELD_MAX:
            timeline.watermark_ms = max(timeline.watermark_ms, timeline.held[0][0])
            while timeline.next_instant()[0] <= timeline.watermark_ms:
                self.step(timeline)
        self.tides.queue(timeline)

    def _flow(self, timelines: Iterable[Timeline]) -> None:
        """Do all that the tides have passed, across the keys in order of time."""
        awake = [(timeline.next_instant(), timeline.text, timeline) for timeline in timelines]
        heapify(awake)
        while awake:
            instant, text, timeline = heappop(awake)
            if instant[0] > timeline.watermark_ms:
                self.tides.queue(timeline)
                continue
            self.mark(timeline)
            self.step(timeline)
            heappush(awake, (timeline.next_instant(), text, timeline))

    def _abandon(self, timeline: Timeline) -> None:
        """Clear the alarms of a key that is forgotten, and never use their numbers again."""
        self.tides.refresh(timeline)
        super()._abandon(timeline)
        self.tides.leave(timeline)


def lane_of(
    name: str, specs: Sequence[RuleSpec], outbox: Outbox, versions: Mapping[str, Version]
) -> Lane:
    """The lane for rules that share source, key and time."""
    is_by_partition = specs[0].time.watermark == "partition"
    return (PartitionLane if is_by_partition else Lane)(name, specs, outbox, versions)


def moved_tides(lane: Lane) -> list[Tide]:
    """The tides of a lane that have moved since this was last asked."""
    if not isinstance(lane, PartitionLane):
        return []
    found = [tide for tide in lane.tides.by_name.values() if tide.is_dirty]
    for tide in found:
        tide.is_dirty = False
    return found


def reach_of(lane: Lane, timeline: Timeline) -> list[TideName]:
    """The partitions from which the events of a key have come, where that counts."""
    if not isinstance(lane, PartitionLane):
        return []
    return [tide.name for tide in lane.tides.reach.get(timeline.text, ())]


def restore_reach(lane: Lane, timeline: Timeline, names: Iterable[TideName]) -> None:
    """Take over the partitions of a key."""
    if isinstance(lane, PartitionLane):
        for stream, number in names:
            lane.tides.join(timeline, lane.tides.tide((stream, number)))


def restore_tide(lane: Lane, name: TideName, progress: Sequence[int]) -> None:
    """Take over how far a partition has come."""
    if isinstance(lane, PartitionLane):
        tide = lane.tides.tide(name)
        tide.newest_ms, tide.arrival_ms, tide.watermark_ms = progress
        tide.is_dirty = False


def settle_tides(lane: Lane) -> None:
    """Queue everything anew, once all partitions and keys have been taken over."""
    if isinstance(lane, PartitionLane):
        lane.tides.settle()
