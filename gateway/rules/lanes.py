"""Rules that share source, key and time: one timeline for each key, and all its rules along it.

Theory of operation. An event finds its timeline by key, gets its event time, and is late, early or
timely. With `out_of_order` it is held until the watermark passes it; else it is taken at once. To
take an event at t means: fire, ordered by time and rule id, every timer that is due at t or before;
then show the event to each rule. Plain rules (no window, no memory) are computed by one fused
function for all of them; where its values are those of the event before, and every condition is
settled, there is nothing to do. That is the fast path, and most events end there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from gateway.rules.alarms import Outbox
from gateway.rules.counters import FAULTS_MAX
from gateway.rules.detectors import track_type
from gateway.rules.event_names import Event, ScopeMap, names_of_event
from gateway.rules.instants import NEVER
from gateway.rules.keys import KeyPlan
from gateway.rules.lookups import Version
from gateway.rules.pages import Pages
from gateway.rules.plans import (
    EVENT_NAMES,
    NO_VERSIONS,
    Layout,
    Place,
    RulePlan,
    event_parts,
    names_of,
)
from gateway.rules.rosters import Roster
from gateway.rules.spec import Expression, RuleSpec, StatefulCall
from gateway.rules.tides import Tides
from gateway.rules.timelines import HELD_MAX, Timeline
from gateway.rules.timers import Wakes
from gateway.rules.tracks import NO_PAGES, ConditionTrack, Track
from gateway.rules.values import UNKNOWN, Value
from gateway.rules.watermarks import TIME_MS_MAX, TimePlan, Verdict, parse_event_time

# What a mistake of ours can raise. A rule that meets one is stopped, the others go on.
FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)
TOO_OFTEN = f"{FAULTS_MAX} errors inside the engine within a minute"


class Lane:
    """The rules of one source, key and time, with everything that they know."""

    def __init__(  # noqa: PLR0915 - what the hot path asks for, once
        self,
        name: str,
        specs: Sequence[RuleSpec],
        outbox: Outbox,
        versions: Mapping[str, Version] = NO_VERSIONS,
    ) -> None:
        spec = specs[0]
        self.name = name
        self.spec = spec
        self.outbox = outbox
        self.plans = [RulePlan(one, index, versions) for index, one in enumerate(specs)]
        self.track_types = [track_type(plan) for plan in self.plans]
        self.time = TimePlan(spec.time)
        self.keys = self.plans[0].join or KeyPlan(spec.key)
        self.roster = Roster(spec.state, len(specs), self._abandon)
        self.timelines = self.roster.timelines
        self.ttl_ms = spec.state.ttl_ms
        self.wakes: Wakes | Tides = Wakes(self.time, self.timelines)
        self.dirty: list[Timeline] = []
        self.accepted = 0  # events, since they were last counted for each rule
        self.stale_pages: list[tuple[str, int, str]] = []  # rule, number and key
        self.expected: Mapping[str, None] | None = None  # None: every key that is seen
        self.scope: ScopeMap = dict.fromkeys(EVENT_NAMES, UNKNOWN)
        parts: list[Expression | StatefulCall] = [
            part for one in specs for part in event_parts(one)
        ]
        if spec.time.field is not None:
            parts.append(spec.time.field)
        if not self.keys.is_device:
            parts += spec.key
        is_joined = spec.join is not None
        self.reads_context = is_joined or bool(
            names_of(parts) & (EVENT_NAMES - {"payload", "prev"})
        )
        self._sort_rules()
        # What the hot path asks for each event.
        time = self.time
        self.is_by_device = self.keys.is_device
        self.is_by_arrival = time.by_arrival
        self.is_bounded = min(time.late_ms, time.early_ms) < NEVER
        self.out_of_order_ms = time.out_of_order_ms
        self.walks, self.trail_ms = time.walks, time.trail_ms
        self.is_single = len(specs) == 1
        # Whether `gateway.rules.fast_runs` may take whole runs.
        self.is_fast = self.is_by_device and not (self.reads_context or self.out_of_order_ms)

    def _sort_rules(self) -> None:
        running = [plan for plan in self.plans if not plan.is_stopped]
        self.stepped = [plan for plan in running if not plan.is_plain]
        self.plain = [plan for plan in running if plan.is_plain]
        self.is_plain = bool(self.plain) and not self.stepped
        layout = Layout(None if self.time.by_arrival else self.spec.time.field, running)
        self.plain_rules = [(plan, plan.place) for plan in self.plain]
        self.plain_place, self.owners = layout.plain, layout.owners
        self.fused = layout.fused()
        for timeline in self.timelines.values():
            timeline.values = None

    def accept(  # noqa: C901, PLR0912, PLR0915 - the hot path, where each call counts
        self, payload: Value, raw: bytes, topic: str, device: str, arrival_ms: int
    ) -> None:
        """Take in an event as it arrives."""
        self.accepted += 1
        scope = self.scope
        scope["payload"] = payload
        if self.reads_context:
            scope["topic"] = topic
            scope["device"] = device
            scope["arrival"] = arrival_ms
        timeline = self.timelines.get(device) if self.is_by_device else None
        if timeline is None or arrival_ms - timeline.arrival_ms > self.ttl_ms:
            timeline = self.find(device, arrival_ms)
            if timeline is None:
                return
        timeline.arrival_ms = arrival_ms
        if not timeline.is_dirty:
            self.mark(timeline)
        try:
            values = self.fused(scope)
        except FAULTS:
            values = self._stop_faulty(scope)
        if self.is_by_arrival:
            # Partitions are read in turn: an arrival may lie a little before one that was read.
            time_ms = max(arrival_ms, timeline.watermark_ms)
        else:
            time_ms = values[0]
            if (
                self.is_bounded
                or type(time_ms) is not int
                or not timeline.watermark_ms <= time_ms <= TIME_MS_MAX
            ):
                event = (time_ms, arrival_ms, topic, device, raw, payload)
                judged_ms = self.time_of(timeline, event)
                if judged_ms is None:
                    return
                time_ms = judged_ms
            if self.out_of_order_ms:
                event = (time_ms, arrival_ms, topic, device, raw, payload)
                self._hold(timeline, event)
                return
        if time_ms > timeline.newest_ms:
            timeline.newest_ms = timeline.watermark_ms = time_ms
        if time_ms >= timeline.due_ms:
            self.fire_until(timeline, time_ms)
        if self.is_plain and timeline.is_settled and values[self.plain_place] == timeline.values:
            return
        self._take(timeline, (time_ms, arrival_ms, topic, device, raw, payload), values)
        # Otherwise it is queued already, no later than silence can matter to it.
        if timeline.due_ms < NEVER and (
            self.walks or timeline.due_ms + self.trail_ms < timeline.queued_ms
        ):
            self.wakes.queue(timeline)

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
            try:
                values = self.fused(self.scope)
            except FAULTS:
                values = self._stop_faulty(self.scope)
            self._take(timeline, event, values)
        elif track is not None:
            self._fire(timeline, track)
            timeline.due_ms = timeline.next_timer()[0][0]

    def find(self, device: str, arrival_ms: int) -> Timeline | None:
        """The timeline of the event in the scope; None when it has no key."""
        key = (device, device) if self.keys.is_device else self.keys.read(self.scope)
        if key is not None:
            if self.expected is not None and key[1] not in self.expected:
                return None
            return self.roster.find(key[0], key[1], arrival_ms)
        for plan in self.plans:
            plan.counters.without_key += 1
        return None

    def time_of(self, timeline: Timeline, event: Event) -> int | None:
        """The time that an event counts for; None when it is late or early and turned away.

        In the event's own place stands what its rules read as its time.
        """
        value, arrival_ms = event[:2]
        time_ms = parse_event_time(value)
        if time_ms is None:
            time_ms = arrival_ms
            for plan in self.plans:
                plan.counters.without_time += 1
        time = self.time
        if time.is_timely(time_ms, arrival_ms, timeline.watermark_ms):
            return time_ms
        event = (time_ms, *event[1:])
        plans = self.plans
        if time_ms < timeline.watermark_ms and time.is_near(time_ms, arrival_ms):
            plans = self._take_late(timeline, event)
        if plans and self._judge(event, plans):
            return time.adjusted(time_ms, arrival_ms, timeline.watermark_ms)
        return None

    def _take_late(self, timeline: Timeline, event: Event) -> list[RulePlan]:
        """Show a late event to the rules whose windows may still change; returns the others."""
        takers = [plan for plan in self.stepped if plan.takes_late]
        if not takers:
            return self.plans
        scope = self.scope
        scope["key"], scope["ts"] = timeline.key, event[0]
        values = self.fused(scope)
        done = []
        for plan in takers:
            track = timeline.tracks[plan.index] or self.begin(timeline, plan)
            try:
                if isinstance(track, ConditionTrack) and track.take_late(
                    event, values, scope, self.outbox, watermark_ms=timeline.watermark_ms
                ):
                    done.append(plan)
            except FAULTS as fault:
                track = self.note_fault(timeline, plan, fault)
            track.is_dirty = True
        timeline.due_ms = timeline.earliest_due()
        self.wakes.queue(timeline)
        return [plan for plan in self.plans if plan not in done]

    def _judge(self, event: Event, plans: Sequence[RulePlan]) -> bool:
        """Whether an event that is late or early is taken all the same, its time adjusted."""
        time_ms, arrival_ms, topic, device, raw, _ = event
        is_late = time_ms <= arrival_ms + self.time.early_ms
        for plan in plans:
            plan.counters.turn_away(is_late=is_late, example=(topic, device, time_ms))
        policy = self.time.policy
        if policy is Verdict.ADJUST and not is_late:
            policy = Verdict.SIDE  # a clock that runs ahead moves no watermark
        if policy is Verdict.SIDE:
            for plan in plans:
                if plan.where is None or plan.where(self.scope) is not False:
                    self.outbox.put_aside(plan, topic, device, raw)
        return policy is Verdict.ADJUST

    def _take(self, timeline: Timeline, event: Event, values: tuple[Value, ...]) -> None:
        """Show an event to each rule; the timers up to its time have been fired."""
        scope = self.scope
        if self.reads_context:
            scope["key"] = timeline.key
            scope["ts"] = event[0]
        if self.plain:
            self.take_plain(timeline, event, values)
        if self.stepped:
            self.take_stepped(timeline, event, values)

    def take_stepped(self, timeline: Timeline, event: Event, values: tuple[Value, ...]) -> None:
        """Show an event to the rules that remember more than their alarm."""
        scope = self.scope
        for plan in self.stepped:
            track = timeline.tracks[plan.index] or self.begin(timeline, plan)
            try:
                track.advance(event, values, scope, self.outbox)
            except FAULTS as fault:
                track = self.note_fault(timeline, plan, fault)
            track.is_dirty = True
            if track.due_ms < timeline.due_ms or self.is_single:
                timeline.due_ms = track.due_ms

    def take_plain(self, timeline: Timeline, event: Event, values: tuple[Value, ...]) -> None:
        own = values[self.plain_place]
        if own == timeline.values and timeline.is_settled:
            return
        rules = self._changed(own, timeline)
        timeline.values = own
        timeline.is_settled = True
        for plan, place in rules:
            track = timeline.tracks[plan.index]
            if track is None:
                if plan.is_lazy and own[place.when] is not True:
                    continue
                track = self.begin(timeline, plan)
            try:
                if not track.take_plain(event, own, place, self.outbox):
                    timeline.is_settled = False
            except FAULTS as fault:
                track = self.note_fault(timeline, plan, fault)
                timeline.is_settled = False
            track.is_dirty = True
            timeline.due_ms = min(timeline.due_ms, track.due_ms)

    def _changed(
        self, own: tuple[Value, ...], timeline: Timeline
    ) -> Sequence[tuple[RulePlan, Place]]:
        """The rules to be shown an event: where all is settled, those that see something new."""
        before = timeline.values
        if before is None or not timeline.is_settled:
            return self.plain_rules
        owners = self.owners
        numbers = {owners[index] for index in range(len(own)) if own[index] is not before[index]}
        return [self.plain_rules[number] for number in sorted(numbers)]

    def begin(self, timeline: Timeline, plan: RulePlan) -> Track:
        """Begin the track of a rule along a timeline."""
        track = self.track_types[plan.index](plan, timeline.key, timeline.text)
        timeline.tracks[plan.index] = track
        return track

    def stop(self, plan: RulePlan) -> None:
        """Show no more events to a rule."""
        plan.is_stopped = True
        self._sort_rules()

    def note_fault(self, timeline: Timeline, plan: RulePlan, fault: Exception) -> Track:
        """Begin a track anew at which a rule has failed; too many faults stop the rule.

        Its alarm stays. Returns the new track.
        """
        if plan.fault_limit.note(self.outbox.clock_ms):
            self._degrade(plan, fault, TOO_OFTEN)
        else:
            plan.counters.faults += 1
        before = timeline.tracks[plan.index] or self.begin(timeline, plan)
        track = self.begin(timeline, plan)
        track.condition.unpack_alarm(before.condition.pack())
        before.let_go()
        track.due_ms = track.condition.due_ms
        track.is_dirty = True
        if track.pages is not NO_PAGES:
            track.pages = Pages(next_no=before.pages.next_no)
            self.stale_pages += [(plan.spec.id, one, track.text) for one, _ in before.pages.ends]
        return track

    def _degrade(self, plan: RulePlan, fault: Exception, what: str) -> None:
        """Stop a rule that fails inside the engine, and say so by an alarm."""
        plan.counters.faults += 1
        self.stop(plan)
        self.outbox.report_error(plan, fault, what)

    def _stop_faulty(self, scope: ScopeMap) -> tuple[Value, ...]:
        """Stop every rule that can't be computed; returns the values for the others."""
        for plan in self.plans:
            try:
                Layout(None, [plan]).fused()(scope)
            except FAULTS as fault:
                self._degrade(plan, fault, "an error inside the engine")
        self._sort_rules()
        return self.fused(scope)

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

    def fire_until(self, timeline: Timeline, time_ms: int) -> None:
        timeline.due_ms = timeline.earliest_due()
        if timeline.due_ms > time_ms:
            return
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
            self.note_fault(timeline, track.plan, fault)

    def watermark_of(self, timeline: Timeline) -> int:
        """How far the time of a key has come."""
        return timeline.watermark_ms

    def _abandon(self, timeline: Timeline) -> None:
        """Clear the alarms of a key that is forgotten, and never use their numbers again."""
        for track in timeline.tracks:
            if track is not None:
                track.abandon(timeline.watermark_ms, self.outbox)
                track.let_go()
                track.plan.n_floor = max(track.plan.n_floor, track.condition.n)
        for plan in self.plans:
            plan.counters.forgotten_keys += 1
