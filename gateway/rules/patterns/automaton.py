"""Every partial match of a sequence for one key: the general way.

Theory of operation. A run stands at a step that has taken `count` events. An event is offered to
each run, oldest first, and last to a run that hasn't begun. From where it stands a run can take
the event again into its own step, or into a later one if those between may be skipped; it tries in
this order, and the first that fits has it (so steps are greedy). Only at a step with contiguity
`any` the run also goes on as if the event had not come, and lets later steps try: it forks. What a
run doesn't take it passes over, which closes its ways into `strict` steps; a `not` closes the ways
behind it. A run that has no way left is dropped. A run whose last step is met is a match, at once
or, with a `not` at the end, when the silence is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateway.rules.event_names import Event, names_of_event
from gateway.rules.instants import NEVER
from gateway.rules.patterns.matches import NOTHING, Match
from gateway.rules.patterns.runs import Run
from gateway.rules.patterns.sequences import Guard, SequencePlan, Test
from gateway.rules.values import UNKNOWN, Value


class Arrival:
    """An event as it is offered to runs."""

    __slots__ = ("allowed", "event", "names", "no", "samples", "scope", "time_ms")

    def __init__(
        self, event: Event, no: int, samples: Sequence[Value], scope: Mapping[str, Value]
    ) -> None:
        self.event = event
        self.time_ms = event[0]
        self.no = no
        self.samples = samples
        self.scope = scope
        self.names: Mapping[str, Value] | None = None
        self.allowed: tuple[bool, ...] = ()

    def told(self) -> Mapping[str, Value]:
        """The event's own names."""
        if self.names is None:
            self.names = names_of_event(self.event)
        return self.names


class Automaton:
    """The runs of one key."""

    __slots__ = ("dropped", "due_ms", "no", "plan", "quiet_ms", "runs")

    def __init__(self, plan: SequencePlan) -> None:
        self.plan = plan
        self.runs: list[Run] = []
        self.no = 0
        self.due_ms = NEVER
        self.dropped = 0
        # When each `not` before the first step was last broken; None before the first event.
        self.quiet_ms: list[int] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to remember."""
        return not self.runs and self.quiet_ms is None

    def take(
        self, event: Event, samples: Sequence[Value], scope: Mapping[str, Value]
    ) -> list[Match]:
        """Offer the next event to every run; returns what is complete with it."""
        plan = self.plan
        self.no += 1
        arrival = Arrival(event, self.no, samples, scope)
        if plan.has_sources:
            arrival.allowed = plan.allowed(event[2])
        may_begin = self._note_quiet(arrival)
        kept: list[Run] = []
        complete: list[Run] = []
        for run in self.runs:
            if arrival.time_ms < run.deadline_ms or run.silent_ms < NEVER:
                self._offer(run, arrival, kept, complete)
        if may_begin and not (complete and plan.skip == "past_last"):
            self._offer(Run(), arrival, kept, complete)
        self.runs = kept
        found = self._accept(complete, event[0]) if complete else NOTHING
        surplus = len(self.runs) - plan.partials_max
        if surplus > 0:
            del self.runs[:surplus]
            self.dropped += surplus
        if plan.has_timers:
            self._find_due()
        return found

    def fire(self) -> Match | None:
        """Do the one thing that is due at `due_ms`: end a wait, as a match or in vain."""
        moment_ms = self.due_ms
        run = next(run for run in self.runs if self._due_of(run) == moment_ms)
        is_match = run.silent_ms < NEVER
        run.is_matched, run.silent_ms = True, NEVER
        if not (is_match and self._can_go_on(run)):
            self.runs.remove(run)
        if is_match:
            self.runs = [other for other in self.runs if not self._is_skipped(other, run)]
        self._find_due()
        return Match(
            "match" if is_match else "timeout", moment_ms, run.start_ms, run.names, run.last
        )

    def _accept(self, complete: list[Run], time_ms: int) -> list[Match]:
        """Of the complete runs, those that the skip strategy leaves; drop the others it skips."""
        accepted: list[Run] = []
        for run in complete:
            if not any(self._is_skipped(run, earlier) for earlier in accepted):
                accepted.append(run)
        self.runs = [
            run for run in self.runs if not any(self._is_skipped(run, match) for match in accepted)
        ]
        return [Match("match", time_ms, run.start_ms, run.names, run.last) for run in accepted]

    def _is_skipped(self, run: Run, match: Run) -> bool:
        match self.plan.skip:
            case "past_last":
                return run.start_no <= match.last_no
            case "to_next":
                return run.start_no == match.start_no
            case _:
                return False

    # One event, one run.

    def _offer(self, run: Run, arrival: Arrival, kept: list[Run], complete: list[Run]) -> None:
        scope = {**arrival.scope, **run.names} if self.plan.reads_steps else arrival.scope
        before = (run.limit, run.is_closed, run.has_passed)
        if run.step >= 0:
            self._close_ways(run, arrival, scope)
        for place, part_no in self._ways(run, arrival.time_ms):
            step = self.plan.steps[place]
            if not self._holds(step.parts[part_no].test, arrival, scope):
                continue
            self._keep(self._advance(run, place, part_no, arrival), kept, complete)
            if not step.is_any:
                return
        if run.step >= 0:
            run.has_passed = True
            if before != (run.limit, run.is_closed, run.has_passed):
                self._schedule(run)
            if run.silent_ms < NEVER or self._can_go_on(run):
                kept.append(run)

    def _ways(self, run: Run, time_ms: int) -> Iterator[tuple[int, int]]:
        """Where the run could take an event of now, the nearest first: a step, and a part of it."""
        if run.step < 0:
            for place in self._ahead(run.step, run.limit):
                yield from self._parts(place)
        elif time_ms - run.start_ms < self.plan.within_ms:
            step = self.plan.steps[run.step]
            if self._may_repeat(run) and time_ms - run.anchor_ms < step.within_ms:
                yield from self._parts(run.step, run.parts if step.is_group else 0)
            if run.count >= step.least:
                for place in self._ahead(run.step, run.limit):
                    if self._is_open(run, place, time_ms):
                        yield from self._parts(place)

    def _parts(self, place: int, taken: int = 0) -> Iterator[tuple[int, int]]:
        """The parts of a step that are not taken yet."""
        for part_no in range(len(self.plan.steps[place].parts)):
            if not taken >> part_no & 1:
                yield place, part_no

    def _ahead(self, step_no: int, limit: int) -> Iterator[int]:
        """The steps that can come next: the following one, and those behind skippable ones."""
        steps = self.plan.steps
        for place in range(step_no + 1, min(limit, len(steps))):
            yield place
            if not steps[place].is_skippable:
                return

    def _is_open(self, run: Run, place: int, time_ms: int) -> bool:
        """Whether the way into a later step is open now, but for the step's own condition."""
        step, steps = self.plan.steps[place], self.plan.steps
        waited_ms = time_ms - run.last_ms
        if (step.is_strict and run.has_passed) or waited_ms >= step.within_ms:
            return False
        return all(
            guard.within_ms is None or waited_ms >= guard.within_ms
            for between in steps[run.step + 1 : place + 1]
            for guard in between.guards
        )

    def _may_repeat(self, run: Run) -> bool:
        step = self.plan.steps[run.step]
        is_torn = step.is_strict and run.has_passed
        return run.count < step.most and not run.is_closed and not is_torn

    def _close_ways(self, run: Run, arrival: Arrival, scope: Mapping[str, Value]) -> None:
        """Let `until` and the `not`s between steps have their effect on the run."""
        steps, step = self.plan.steps, self.plan.steps[run.step]
        if step.until is not None and self._holds(step.until, arrival, scope):
            run.is_closed = True
        if run.count < step.least:
            return
        places = [*self._ahead(run.step, run.limit)]
        if self._can_end(run):
            places.append(len(steps))
        for place in places:
            guards = steps[place].guards if place < len(steps) else self.plan.final_guards
            if any(self._is_broken(guard, run, arrival, scope) for guard in guards):
                run.limit = min(run.limit, place)
                return

    def _is_broken(
        self, guard: Guard, run: Run, arrival: Arrival, scope: Mapping[str, Value]
    ) -> bool:
        """Whether the event is what the `not` forbids, while it does."""
        if guard.is_strict and run.has_passed:
            return False
        waited_ms = arrival.time_ms - run.last_ms
        is_over = guard.within_ms is not None and waited_ms >= guard.within_ms
        return not is_over and self._holds(guard.test, arrival, scope)

    def _holds(self, test: Test, arrival: Arrival, scope: Mapping[str, Value]) -> bool:
        if test.group >= 0 and not arrival.allowed[test.group]:
            return False
        if test.sample >= 0:
            return arrival.samples[test.sample] is True
        return test.evaluate(scope) is True

    def _advance(self, run: Run, place: int, part_no: int, arrival: Arrival) -> Run:
        """The run with the event taken into a step."""
        plan, found = self.plan, Run()
        part = plan.steps[place].parts[part_no]
        is_same = place == run.step
        found.step = place
        found.count = run.count + 1 if is_same else 1
        found.parts = (run.parts if is_same else 0) | 1 << part_no
        is_first = run.step < 0
        found.start_no = arrival.no if is_first else run.start_no
        found.start_ms = arrival.time_ms if is_first else run.start_ms
        found.last_no, found.last_ms = arrival.no, arrival.time_ms
        found.anchor_ms = run.anchor_ms if is_same else arrival.time_ms
        if not is_same and not is_first:
            found.anchor_ms = run.last_ms
        before = run.names.get(part.id, UNKNOWN) if is_same else UNKNOWN
        found.names = {**run.names, part.id: part.memory.add(before, arrival.told())}
        if plan.tail is not None:
            found.last = plan.tail.take(arrival.told())
        self._schedule(found)
        return found

    def _keep(self, run: Run, kept: list[Run], complete: list[Run]) -> None:
        if self._can_end(run) and not self.plan.final_guards:
            complete.append(run)
            run.is_matched = True
            if not self._can_go_on(run):
                return
        kept.append(run)

    def _can_go_on(self, run: Run) -> bool:
        """Whether some later event might be taken."""
        if self._may_repeat(run):
            return True
        steps = self.plan.steps
        return run.count >= steps[run.step].least and any(
            not (steps[place].is_strict and run.has_passed)
            for place in self._ahead(run.step, run.limit)
        )

    def _can_end(self, run: Run) -> bool:
        """Whether every step is met, or may be left out."""
        steps = self.plan.steps
        return run.count >= steps[run.step].least and all(
            step.is_skippable for step in steps[run.step + 1 :]
        )

    # Time.

    def _schedule(self, run: Run) -> None:
        """Work out how long the run can wait."""
        plan = self.plan
        end_ms = run.start_ms + plan.within_ms
        step, open_until_ms = plan.steps[run.step], 0
        if self._may_repeat(run):
            open_until_ms = run.anchor_ms + step.within_ms
        if run.count >= step.least:
            for place in self._ahead(run.step, run.limit):
                open_until_ms = max(open_until_ms, run.last_ms + plan.steps[place].within_ms)
        run.deadline_ms = min(end_ms, open_until_ms or end_ms, NEVER)
        run.silent_ms = NEVER
        is_open = run.limit > len(plan.steps) and not run.is_matched
        if plan.final_guards and is_open and self._can_end(run):
            run.silent_ms = max(
                end_ms if guard.within_ms is None else run.last_ms + guard.within_ms
                for guard in plan.final_guards
            )

    def _due_of(self, run: Run) -> int:
        if run.silent_ms < NEVER:
            return run.silent_ms
        return run.deadline_ms if self.plan.emits_timeouts and not run.is_matched else NEVER

    def _find_due(self) -> None:
        self.due_ms = min((self._due_of(run) for run in self.runs), default=NEVER)

    def _note_quiet(self, arrival: Arrival) -> bool:
        """Whether a run may begin: nothing came before it that a leading `not` forbids."""
        guards = self.plan.steps[0].guards
        if not guards:
            return True
        if self.quiet_ms is None:
            self.quiet_ms = [arrival.time_ms] * len(guards)
        for number, guard in enumerate(guards):
            if self._holds(guard.test, arrival, arrival.scope):
                self.quiet_ms[number] = arrival.time_ms
        return all(
            arrival.time_ms - since_ms >= (guard.within_ms or 0)
            for guard, since_ms in zip(guards, self.quiet_ms, strict=True)
        )

    def pack(self) -> list[Value]:
        """Its state as plain values."""
        return [self.no, self.quiet_ms, [run.pack() for run in self.runs]]

    def unpack(self, packed: list[Value]) -> None:
        """Become what `pack` was called on."""
        self.no, self.quiet_ms, runs = packed
        self.runs = [Run.unpack(run) for run in runs]
        if self.plan.has_timers:
            self._find_due()
