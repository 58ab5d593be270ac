"""Rules that share source, key and time: one timeline for each key, and all its rules along it.

Theory of operation. An event finds its timeline by key, gets its event time, and is late, early or
timely. With `out_of_order` it is held until the watermark passes it; else it is taken at once. To
take an event at t means: fire, ordered by time and rule id, every timer that is due at t or before;
then show the event to each rule. Plain rules (no window, no memory) are computed by one fused
function for all of them; where its values are those of the event before, and every condition is
settled, there is nothing to do. That is the fast path, and most events end there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from gateway.rules.alarms import Outbox
from gateway.rules.expression.fusion import fuse
from gateway.rules.keys import KeyPlan
from gateway.rules.plans import EVENT_NAMES, RulePlan, event_parts, names_of, place_plain
from gateway.rules.rosters import Roster
from gateway.rules.spec import RuleSpec
from gateway.rules.timelines import HELD_MAX, Timeline
from gateway.rules.timers import Wakes
from gateway.rules.tracks import Event, ScopeMap, Track, names_of_event
from gateway.rules.values import UNKNOWN, Value
from gateway.rules.watermarks import TIME_MS_MAX, TimePlan, Verdict, parse_event_time
from gateway.rules.windows import NEVER

# What a mistake of ours can raise. A rule that meets one is stopped, the others go on.
FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)


class Lane:
    """The rules of one source, key and time, with everything that they know."""

    def __init__(self, name: str, specs: Sequence[RuleSpec], outbox: Outbox) -> None:
        spec = specs[0]
        self.name = name
        self.outbox = outbox
        self.plans = [RulePlan(one, index) for index, one in enumerate(specs)]
        self.time = TimePlan(spec.time)
        self.keys = KeyPlan(spec.key)
        self.roster = Roster(spec.state, len(specs), self._abandon)
        self.timelines = self.roster.timelines
        self.ttl_ms = spec.state.ttl_ms
        self.wakes = Wakes(self.time, self.timelines)
        self.dirty: list[Timeline] = []
        self.scope: ScopeMap = dict.fromkeys(EVENT_NAMES, UNKNOWN)
        parts = [part for one in specs for part in event_parts(one)]
        self.reads_context = bool(names_of(parts) & (EVENT_NAMES - {"payload", "prev"}))
        self.is_single = len(specs) == 1
        self._sort_rules()

    def _sort_rules(self) -> None:
        running = [plan for plan in self.plans if not plan.is_stopped]
        self.stepped = [plan for plan in running if not plan.is_plain]
        self.plain = [plan for plan in running if plan.is_plain]
        expressions = place_plain(self.plain)
        self.places = [plan.place for plan in self.plain]
        self.fused: Callable[[ScopeMap], tuple[Value, ...]] | None = (
            fuse(expressions) if expressions else None
        )
        for timeline in self.timelines.values():
            timeline.values = None

    def accept(  # noqa: C901 - the hot path
        self, payload: Value, raw: bytes, topic: str, device: str, arrival_ms: int
    ) -> None:
        """Take in an event as it arrives."""
        scope = self.scope
        scope["payload"] = payload
        if self.reads_context:
            scope["topic"] = topic
            scope["device"] = device
            scope["arrival"] = arrival_ms
        timeline = self.timelines.get(device) if self.keys.is_device else None
        if timeline is None or arrival_ms - timeline.arrival_ms > self.ttl_ms:
            timeline = self._find(device, arrival_ms)
            if timeline is None:
                return
        timeline.arrival_ms = arrival_ms
        self.mark(timeline)
        time_ms = self._time_of(timeline, arrival_ms)
        event = (time_ms, arrival_ms, topic, device, raw, payload)
        time = self.time
        if not time.is_timely(time_ms, arrival_ms, timeline.watermark_ms):
            if not self._judge(event):
                return
            time_ms = time.adjusted(time_ms, arrival_ms, timeline.watermark_ms)
            event = (time_ms, *event[1:])
        if time.out_of_order_ms:
            self._hold(timeline, event)
            return
        if time_ms > timeline.newest_ms:
            timeline.newest_ms = timeline.watermark_ms = time_ms
        if time_ms >= timeline.due_ms:
            self._fire_until(timeline, time_ms)
        self._take(timeline, event)
        self._queue(timeline)

    def mark(self, timeline: Timeline) -> None:
        """Note that the timeline has changed since it was last saved."""
        if not timeline.is_dirty:
            timeline.is_dirty = True
            self.dirty.append(timeline)

    def step(self, timeline: Timeline) -> None:
        """Do the next thing along the timeline: fire a timer, or take an event that was held."""
        instant, track = timeline.next_timer()
        if timeline.held and timeline.held[0][0] < instant[0]:
            _, _, event = heappop(timeline.held)
            self.scope.update(names_of_event(event))
            self._take(timeline, event)
        elif track is not None:
            self._fire(timeline, track)
            timeline.due_ms = timeline.next_timer()[0][0]

    def _find(self, device: str, arrival_ms: int) -> Timeline | None:
        """The timeline of the event in the scope; None when it has no key."""
        key = (device, device) if self.keys.is_device else self.keys.read(self.scope)
        if key is not None:
            return self.roster.find(key[0], key[1], arrival_ms)
        for plan in self.plans:
            plan.counters.without_key += 1
        return None

    def _time_of(self, timeline: Timeline, arrival_ms: int) -> int:
        """The event time of the event in the scope."""
        field = self.time.field
        if field is None:
            # Partitions are read in turn: an arrival may lie a little before one that was read.
            return max(arrival_ms, timeline.watermark_ms)
        value = field(self.scope)
        if type(value) is int and 0 <= value <= TIME_MS_MAX:
            return value
        time_ms = parse_event_time(value)
        if time_ms is not None:
            return time_ms
        for plan in self.plans:
            plan.counters.without_time += 1
        return arrival_ms

    def _judge(self, event: Event) -> bool:
        """Whether an event that is late or early is taken all the same, its time adjusted."""
        time_ms, arrival_ms, topic, device, raw, _ = event
        is_late = time_ms <= arrival_ms + self.time.early_ms
        for plan in self.plans:
            plan.counters.turn_away(is_late=is_late, example=(topic, device, time_ms))
        if self.time.policy is Verdict.SIDE:
            for plan in self.plans:
                if plan.where is None or plan.where(self.scope) is not False:
                    self.outbox.put_aside(plan, topic, device, raw)
        return self.time.policy is Verdict.ADJUST

    def _take(self, timeline: Timeline, event: Event) -> None:
        """Show an event to each rule; the timers up to its time have been fired."""
        scope = self.scope
        if self.reads_context:
            scope["key"] = timeline.key
            scope["ts"] = event[0]
        if self.fused is not None:
            self._take_plain(timeline, event, scope)
        for plan in self.stepped:
            track = timeline.tracks[plan.index] or self._begin(timeline, plan)
            try:
                track.advance(event, scope, self.outbox)
            except FAULTS as fault:
                self._stop(plan, fault)
            track.is_dirty = True
            if track.due_ms < timeline.due_ms or self.is_single:
                timeline.due_ms = track.due_ms

    def _take_plain(self, timeline: Timeline, event: Event, scope: ScopeMap) -> None:
        try:
            values = self.fused(scope)  # type: ignore[misc]  # there are plain rules
        except FAULTS:
            self._stop_faulty(scope)
            return
        if values == timeline.values and timeline.is_settled:
            return
        timeline.values = values
        timeline.is_settled = True
        for plan, place in zip(self.plain, self.places, strict=True):
            track = timeline.tracks[plan.index]
            if track is None:
                if plan.is_lazy and values[place.when] is not True:
                    continue
                track = self._begin(timeline, plan)
            try:
                if not track.take_plain(event, values, place, self.outbox):
                    timeline.is_settled = False
            except FAULTS as fault:
                self._stop(plan, fault)
            track.is_dirty = True
            timeline.due_ms = min(timeline.due_ms, track.due_ms)

    def _begin(self, timeline: Timeline, plan: RulePlan) -> Track:
        track = Track(plan, timeline.key, timeline.text)
        timeline.tracks[plan.index] = track
        return track

    def stop(self, plan: RulePlan) -> None:
        """Show no more events to a rule."""
        plan.is_stopped = True
        self._sort_rules()

    def _stop(self, plan: RulePlan, fault: Exception) -> None:
        """Stop a rule that has failed inside the engine, and say so by an alarm."""
        self.stop(plan)
        self.outbox.report_error(plan, fault)

    def _stop_faulty(self, scope: ScopeMap) -> None:
        """Stop every plain rule that can't be computed."""
        for plan in self.plain:
            try:
                fuse(place_plain([plan]))(scope)
            except FAULTS as fault:
                self._stop(plan, fault)
        self._sort_rules()

    def _hold(self, timeline: Timeline, event: Event) -> None:
        """Keep an event until the watermark has passed it; then do all that lies before that."""
        heappush(timeline.held, (event[0], timeline.held_no, event))
        timeline.held_no += 1
        timeline.newest_ms = max(timeline.newest_ms, event[0])
        watermark_ms = timeline.newest_ms - self.time.out_of_order_ms
        if len(timeline.held) > HELD_MAX:
            watermark_ms = max(watermark_ms, timeline.held[0][0])
        timeline.watermark_ms = max(timeline.watermark_ms, watermark_ms)
        while timeline.next_instant()[0] <= timeline.watermark_ms:
            self.step(timeline)
        self.wakes.queue(timeline)

    def _queue(self, timeline: Timeline) -> None:
        time = self.time
        # Otherwise it is queued already, no later than silence can matter to it.
        if timeline.due_ms < NEVER and (
            time.walks or timeline.due_ms + time.trail_ms < timeline.queued_ms
        ):
            self.wakes.queue(timeline)

    def _fire_until(self, timeline: Timeline, time_ms: int) -> None:
        instant, track = timeline.next_timer()
        while instant[0] <= time_ms and track is not None:
            self._fire(timeline, track)
            instant, track = timeline.next_timer()
        timeline.due_ms = instant[0]

    def _fire(self, timeline: Timeline, track: Track) -> None:
        timeline.is_settled = False
        try:
            track.fire(self.outbox)
        except FAULTS as fault:
            self._stop(track.plan, fault)

    def _abandon(self, timeline: Timeline) -> None:
        """Clear the alarms of a key that is forgotten, and never use their numbers again."""
        for track in timeline.tracks:
            if track is not None:
                track.abandon(timeline.watermark_ms, self.outbox)
                track.plan.n_floor = max(track.plan.n_floor, track.condition.n)
        for plan in self.plans:
            plan.counters.forgotten_keys += 1
