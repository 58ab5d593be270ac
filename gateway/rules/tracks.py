"""One rule for one key: its detector, its alarm, and what it remembers of the events.

A track is advanced by each event of its key in order of event time, and fired when the watermark
reaches its `due_ms`. It knows nothing of watermarks: `gateway.rules.lanes` does. There is a kind of
track for each detector; `gateway.rules.detectors` chooses. All of them tell a `Condition` what is
true when, so that the life of alarms is the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.rules.alarms import Outbox
from gateway.rules.conditions import Change, Condition, Phase
from gateway.rules.duplicates import Duplicates
from gateway.rules.event_names import Event, ScopeMap, names_of_event
from gateway.rules.instants import NEVER
from gateway.rules.pages import Pages, Samples
from gateway.rules.payloads import decode_payload
from gateway.rules.plans import Place, RulePlan, Step, is_keyed_by_device
from gateway.rules.revisions import RevisingWindow
from gateway.rules.values import UNKNOWN, Value
from gateway.rules.windows import Window

IDLE, RAISED = Phase.IDLE, Phase.RAISED
# Most tracks have none of these; there may be very many tracks, so they share them.
NONE: list[Value] = []
NO_RESULTS: Mapping[str, Any] = {}
NO_PAGES = Pages()


class Track:
    """The state of one rule for one key, whatever its detector."""

    __slots__ = (
        "condition",
        "due_ms",
        "is_dirty",
        "key",
        "last",
        "memories",
        "pages",
        "plan",
        "results",
        "slots",
        "text",
    )

    def __init__(self, plan: RulePlan, key: Value, text: str) -> None:
        self.plan = plan
        self.key = key
        self.text = text
        self.condition = Condition(plan.condition, plan.n_floor)
        self.memories: list[Value] = [None] * plan.memories if plan.memories else NONE
        self.slots: list[Value] = [UNKNOWN] * plan.memories if plan.memories else NONE
        self.last: Event | None = None
        self.results: Mapping[str, Any] = NO_RESULTS
        self.due_ms = NEVER
        self.is_dirty = False
        self.pages = NO_PAGES

    def advance(
        self, event: Event, values: tuple[Value, ...], scope: ScopeMap, outbox: Outbox
    ) -> None:
        """Take in the next event of the key.

        `values` are what the event alone decides, where the rule's place says; `scope` knows the
        event's names.
        """
        raise NotImplementedError

    def take_plain(
        self, event: Event, values: tuple[Value, ...], place: Place, outbox: Outbox
    ) -> bool:
        """Take in the next event by its values; say whether equal ones may be left out."""
        raise NotImplementedError

    def fire(self, outbox: Outbox) -> None:
        """Do the one thing that is due at `due_ms`."""
        raise NotImplementedError

    def pack_own(self) -> tuple[Value, Samples | None]:
        """What only its kind of track remembers, and the samples of its window, if any."""
        raise NotImplementedError

    def unpack_own(self, packed: Value, pages: Mapping[int, list[Any]]) -> bool:
        """Take over what `pack_own` gave; False when a page is missing."""
        raise NotImplementedError

    def find_due(self) -> int:
        """When something is due next."""
        return self.condition.due_ms

    @property
    def is_idle(self) -> bool:
        """Whether its kind of track has nothing to remember."""
        return True

    def admit(
        self, event: Event, values: tuple[Value, ...], scope: ScopeMap
    ) -> Sequence[Value] | None:
        """The samples of an event; None when the rule doesn't take it."""
        plan = self.plan
        if not plan.is_ready:
            return self.prepare(event, scope)
        place = plan.place
        if place.where >= 0 and values[place.where] is not True:
            return None
        if plan.needs_last:
            self.last = event
        samples: Sequence[Value] = values[place.samples]
        return samples

    def look(self, time_ms: int, scope: ScopeMap, *, when: bool) -> Change | None:
        """Tell the alarm whether what it stands for is true."""
        plan = self.plan
        levels = [level(scope) for level in plan.levels] if plan.levels else ()
        return self.condition.evaluate(time_ms, when, not when, levels)

    def prepare(self, event: Event, scope: ScopeMap) -> list[Value] | None:
        """Compute an event part by part, where some read what the parts before them have made.

        Returns its samples, or None when the rule doesn't take it.
        """
        return self.compute(event, scope) if self.passes(event, scope) else None

    def passes(self, event: Event, scope: ScopeMap) -> bool:
        """Whether the rule takes the event."""
        plan = self.plan
        for hours in plan.hours:
            scope[hours.name] = hours.is_open(event[0])
        for one in plan.enriching:
            scope[one.name] = one.row(scope)
        if plan.where is not None and plan.where(scope) is not True:
            return False
        return plan.duplicates is None or not self._is_repeated(plan.duplicates, event, scope)

    def compute(self, event: Event, scope: ScopeMap) -> list[Value]:
        """Compute the parts of an event that is taken, and remember it; returns its samples."""
        plan = self.plan
        if plan.reads_prev:
            scope["prev"] = names_of_event(self.last) if self.last is not None else UNKNOWN
        for hours in plan.hours:
            scope[hours.name] = hours.is_open(event[0])
        for one in plan.enriching:
            scope[one.name] = one.row(scope)
        if plan.steps:
            self._compute(plan.steps, scope, is_event=True)
        if plan.needs_last:
            self.last = event
        return [True if argument is None else argument(scope) for argument in plan.arguments]

    def abandon(self, time_ms: int, outbox: Outbox) -> None:
        """Clear the alarm, if it is up, because the key is forgotten."""
        change = self.condition.abandon(time_ms)
        if change is not None:
            outbox.announce(self.plan, self.text, change, self.remembered(time_ms, outbox))

    def let_go(self) -> None:
        """Count nothing of it as held any more."""

    def _is_repeated(self, duplicates: Duplicates, event: Event, scope: ScopeMap) -> bool:
        if self.memories[-1] is None:
            self.memories[-1] = {}
        return duplicates.is_repeated(self.memories[-1], scope, event[0])

    def pack(self) -> tuple[list[Value], Samples | None]:
        """Its state as plain values, and apart from it the samples of its window, if any."""
        own, samples = self.pack_own()
        packed = [
            self.plan.spec.source_hash,
            self.condition.pack(),
            own,
            self.memories,
            [[] if value is UNKNOWN else [value] for value in self.slots],
            self.last[:-1] if self.last is not None else None,
            self.results,
        ]
        return packed, samples

    def unpack(self, packed: list[Value], pages: Mapping[int, list[Any]]) -> bool:
        """Become what `pack` was called on, its samples on these pages.

        If the rule has changed since, or a page is missing, only its alarm stays: False.
        """
        source_hash, condition, own, memories, slots, last, results = packed
        if source_hash != self.plan.spec.source_hash or not self.unpack_own(own, pages):
            self.condition.unpack_alarm(condition)
            self.due_ms = self.condition.due_ms
            return False
        self.condition.unpack(condition)
        if memories:
            self.memories = memories
            self.slots = [slot[0] if slot else UNKNOWN for slot in slots]
        self.last = (*last, decode_payload(last[-1])) if last is not None else None
        self.results = results or NO_RESULTS
        self.due_ms = self.find_due()
        return True

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to remember of it."""
        return (
            self.is_idle
            and not self.memories
            and self.last is None
            and (self.condition.is_blank and not self.condition.n)
        )

    def remembered(self, moment_ms: int, outbox: Outbox) -> ScopeMap:
        """The names that can still be told at `moment_ms`, when no event is at hand."""
        plan = self.plan
        scope: ScopeMap = names_of_event(self.last) if self.last is not None else {}
        scope["key"] = self.key
        if is_keyed_by_device(plan.spec):
            scope["device"] = self.key
        scope["ts"] = moment_ms
        scope.setdefault("arrival", outbox.clock_ms)
        scope.setdefault("payload", UNKNOWN)
        scope.setdefault("prev", UNKNOWN)
        for hours in plan.hours:
            scope[hours.name] = hours.is_open(moment_ms)
        for one in plan.enriching:
            scope[one.name] = one.row(scope)
        self._compute(plan.steps, scope, is_event=False)
        scope.update(dict.fromkeys(plan.aggregates, UNKNOWN))
        scope.update(self.results)
        return scope

    def _compute(self, steps: tuple[Step, ...], scope: ScopeMap, *, is_event: bool) -> None:
        for step in steps:
            if step.evaluate is not None:
                scope[step.name] = step.evaluate(scope)
                continue
            if is_event and step.call is not None:
                memory, value = step.call.advance(self.memories[step.memory], scope)
                self.memories[step.memory] = memory
                self.slots[step.memory] = value
            scope[step.name] = self.slots[step.memory]


class ConditionTrack(Track):
    """A condition over events, or over the results of a window."""

    __slots__ = ("window",)

    def __init__(self, plan: RulePlan, key: Value, text: str) -> None:
        super().__init__(plan, key, text)
        self.window: Window | None = plan.window.open() if plan.window is not None else None
        if plan.window is not None:
            self.pages = Pages()

    def advance(  # noqa: C901 - the hot path, where each call counts
        self, event: Event, values: tuple[Value, ...], scope: ScopeMap, outbox: Outbox
    ) -> None:
        """Take in the next event of the key.

        `values` are what the event alone decides, where the rule's place says; `scope` knows the
        event's names.
        """
        plan, window, condition = self.plan, self.window, self.condition
        samples: Sequence[Value] | None
        if plan.is_ready:
            place = plan.place
            if place.where >= 0 and values[place.where] is not True:
                return
            if plan.needs_last:
                self.last = event
            samples = values[place.samples]
        else:
            samples = self.prepare(event, scope)
            if samples is None:
                return
        if window is not None and not window.add(event[0], samples, scope):
            self.due_ms = self._next_due(window)
            return
        when = plan.when(scope)
        phase = condition.phase
        if (phase is IDLE and when is not True and plan.is_lazy) or (
            # Raised, and not to be cleared: the most frequent look of an alarm that is up.
            phase is RAISED and plan.clear is None and when is True and plan.is_simple
        ):
            due_ms = condition.due_ms
            if window is not None and window.due_ms < due_ms:
                due_ms = window.due_ms
            self.due_ms = due_ms
            return
        change = self.consider(event[0], when, scope)
        if change is not None:
            names = {**scope, **names_of_event(event), "key": self.key}
            outbox.announce(plan, self.text, change, names)

    def take_plain(
        self, event: Event, values: tuple[Value, ...], place: Place, outbox: Outbox
    ) -> bool:
        """Take in the next event by its values; say whether equal ones may be left out."""
        plan, condition = self.plan, self.condition
        if place.where >= 0 and values[place.where] is not True:
            return True
        when = values[place.when]
        clear = values[place.clear] if place.clear >= 0 else UNKNOWN
        change = condition.evaluate(event[0], when, clear, values[place.levels])
        self.due_ms = condition.due_ms
        if change is not None:
            names = {**names_of_event(event), "key": self.key}
            outbox.announce(plan, self.text, change, names)
        if self.due_ms != NEVER and plan.needs_last:
            self.last = event
            return False
        return condition.is_settled(when, clear)

    def fire(self, outbox: Outbox) -> None:
        """Do the one thing that is due at `due_ms`."""
        window, condition = self.window, self.condition
        self.is_dirty = True
        if window is None or condition.due_ms <= window.due_ms - window.lag_ms:
            moment_ms = condition.due_ms
            change = condition.fire()
            if change is not None:
                scope = self.remembered(moment_ms, outbox)
                outbox.announce(self.plan, self.text, change, scope)
            self.due_ms = condition.due_ms if window is None else self._next_due(window)
        else:
            scope = self.remembered(window.due_ms - window.lag_ms, outbox)
            moment_ms = window.fire(scope)
            self.see(moment_ms, scope, outbox)

    def see(self, moment_ms: int, scope: ScopeMap, outbox: Outbox) -> None:
        """Take in a result of the window that time has brought about."""
        change = self.consider(moment_ms, self.plan.when(scope), scope)
        if change is not None:
            outbox.announce(self.plan, self.text, change, scope)

    def take_late(
        self,
        event: Event,
        values: tuple[Value, ...],
        scope: ScopeMap,
        outbox: Outbox,
        *,
        watermark_ms: int,
    ) -> bool:
        """Take in an event from before the watermark, if a window may still change; say whether."""
        window, last = self.window, self.last
        if not isinstance(window, RevisingWindow) or not window.ends_reached(
            event[0], watermark_ms
        ):
            return False
        samples = self.admit(event, values, scope)
        self.last = last  # it is not the newest
        if samples is not None:
            for end_ms in window.take_late(event[0], samples, watermark_ms):
                names = self.remembered(end_ms, outbox)
                window.tell(end_ms, names)
                self.correct(end_ms, names, outbox)
        self.due_ms = self._next_due(window)
        return True

    def correct(self, moment_ms: int, scope: ScopeMap, outbox: Outbox) -> None:
        """Take in a result that has changed. Nothing here: alarms only look ahead."""

    def let_go(self) -> None:
        """Count nothing of it as held any more."""
        if self.window is not None:
            self.window.let_go()

    def pack_own(self) -> tuple[Value, Samples | None]:
        """The state of its window, and apart from it the samples."""
        if self.window is None:
            return None, None
        window = self.window.pack()
        if not self.window.keeps_samples:
            return window, None
        taken, marks, times, columns = window.pop()
        window.append([taken, marks, len(times)])
        return window, Samples(taken, times, columns)

    def unpack_own(self, packed: Value, pages: Mapping[int, list[Any]]) -> bool:
        """Take over the state of its window; False when a page is missing."""
        if self.window is None:
            return True
        if self.window.keeps_samples:
            taken, marks, count = packed.pop()
            samples = self.pages.join(pages, taken - count, len(self.plan.arguments))
            if samples is None or samples.taken != taken:
                return False
            packed.append([taken, marks, samples.times, samples.columns])
        self.window.unpack(packed)
        return True

    def find_due(self) -> int:
        """When something is due next."""
        return self.condition.due_ms if self.window is None else self._next_due(self.window)

    @property
    def is_idle(self) -> bool:
        """Whether it has no window."""
        return self.window is None

    def consider(self, time_ms: int, when: Value, scope: ScopeMap) -> Change | None:
        """Decide the condition at `time_ms`, with everything it reads in the scope."""
        plan, condition = self.plan, self.condition
        clear = plan.clear(scope) if plan.clear is not None else UNKNOWN
        levels = [level(scope) for level in plan.levels] if plan.levels else ()
        change = condition.evaluate(time_ms, when, clear, levels)
        if plan.aggregates and condition.phase is not IDLE:
            self.results = {
                name: scope[name] for name in plan.aggregates if scope[name] is not UNKNOWN
            }
        window = self.window
        self.due_ms = condition.due_ms if window is None else self._next_due(window)
        return change

    def _next_due(self, window: Window) -> int:
        due_ms = self.condition.due_ms
        return window.due_ms if window.due_ms < due_ms else due_ms
