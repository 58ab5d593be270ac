"""The life of a condition: idle, pending, raised, clearing, and back (RULES §3.3).

Times are event times, and time passes only by `evaluate` and `fire`. Whoever owns a condition fires
it when the watermark reaches its `due_ms`, before it evaluates anything of that time or later.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Literal, NamedTuple

from gateway.rules.instants import NEVER
from gateway.rules.schedules import Gate
from gateway.rules.spec import SEVERITIES, AlarmSpec, ConditionSpec, RuleSpec, Severity
from gateway.rules.values import UNKNOWN, Value


class Phase(IntEnum):
    """Where a condition is in its life; the numbers are stored."""

    IDLE = 0
    PENDING = 1
    RAISED = 2
    CLEARING = 3
    COUNTED = 4  # held long enough to count for `repeat`, and must be false before it counts again


Cause = Literal["when", "opening", "clear", "levels", "auto_clear", "max_keys"]


class Change(NamedTuple):
    """A step in the life of an alarm, the `n`-th of its rule and key.

    `since_ms` is when its condition became true. `cause` is the part of the rule that brought the
    step about.
    """

    event: Literal["raised", "changed", "cleared"]
    time_ms: int
    since_ms: int
    severity: Severity
    n: int
    cause: Cause


# Shared by all conditions that count none, and never changed: there may be very many.
NO_HITS: list[int] = []
NO_LEVELS: list[int | None] = []


# Before rules had hours, nothing could be hidden.
PACKED_BEFORE_HOURS = 11


class ConditionPlan:
    """What the conditions of one rule have in common."""

    __slots__ = (
        "auto_clear_ms",
        "clear_for_ms",
        "for_ms",
        "gate",
        "has_clear",
        "is_armed_at_first",
        "levels",
        "max_gap_ms",
        "on_unknown",
        "raises_at_opening",
        "repeat_times",
        "repeat_within_ms",
        "severity",
    )

    def __init__(self, rule: RuleSpec, condition: ConditionSpec) -> None:
        alarm = rule.alarm or AlarmSpec()
        gap_ms = condition.max_gap_ms
        self.for_ms = condition.for_ms
        self.max_gap_ms = condition.for_ms if gap_ms is None else gap_ms
        self.has_clear = condition.clear is not None
        self.clear_for_ms = condition.clear_for_ms
        self.on_unknown = condition.on_unknown
        self.repeat_times = condition.repeat_times
        self.repeat_within_ms = condition.repeat_within_ms
        self.gate = Gate(rule.active, rule.schedules) if rule.active is not None else None
        self.raises_at_opening = rule.at_opening == "raise"
        self.is_armed_at_first = rule.arm == "level"
        self.severity: Severity = alarm.severity
        self.auto_clear_ms = alarm.auto_clear_ms
        self.levels = tuple(
            (level.severity, level.for_ms, SEVERITIES.index(level.severity))
            for level in alarm.levels
        )


class Condition:
    """The condition of one rule for one key."""

    __slots__ = (
        "clearing_ms",
        "due_ms",
        "hits",
        "is_armed",
        "is_hidden",
        "level_starts",
        "looked_ms",
        "n",
        "opening_ms",
        "phase",
        "plan",
        "seen_ms",
        "severity",
        "since_ms",
        "true_ms",
    )

    def __init__(self, plan: ConditionPlan, n: int = 0) -> None:
        self.plan = plan
        self.phase = Phase.IDLE
        self.n = n
        self.due_ms = NEVER
        self.since_ms = self.clearing_ms = 0
        self.seen_ms = self.true_ms = self.looked_ms = 0
        self.severity: Severity = plan.severity
        self.is_armed = plan.is_armed_at_first
        # Raised while the rule was not active: nobody has heard of it.
        self.is_hidden = False
        self.opening_ms = NEVER
        self.hits: list[int] = NO_HITS
        self.level_starts: list[int | None] = (
            [None] * len(plan.levels) if plan.levels else NO_LEVELS
        )

    @property
    def is_active(self) -> bool:
        """Whether the alarm is up."""
        return self.phase in (Phase.RAISED, Phase.CLEARING) and not self.is_hidden

    @property
    def is_blank(self) -> bool:
        """Whether it is as it was at first, but for `n`."""
        return (
            self.phase is Phase.IDLE
            and not self.hits
            and self.is_armed == self.plan.is_armed_at_first
            and self.level_starts.count(None) == len(self.level_starts)
        )

    def evaluate(
        self, time_ms: int, when: Value, clear: Value, levels: Sequence[Value] = ()
    ) -> Change | None:
        """Look at the condition at `time_ms`, at or after the last look.

        `clear` counts only where the rule has one; `levels` are in the order of the rule.
        """
        when, clear = self.decide(when, clear)
        if levels:
            self._note_levels(time_ms, levels)
        if when is not UNKNOWN:
            self.seen_ms = time_ms
            if when:
                self.true_ms = time_ms
        elif self.plan.on_unknown == "reset":
            self._reset()
        change = self._step(time_ms, when, clear)
        if change is None and self.is_active:
            change = self._regrade(time_ms)
        self.due_ms = self._next_due()
        return change

    def decide(self, when: Value, clear: Value) -> tuple[Value, Value]:
        """What `when` and `clear` count as, each true, false or UNKNOWN."""
        plan = self.plan
        if when is not True and when is not False:
            when = False if plan.on_unknown == "false" else UNKNOWN
        if not plan.has_clear:
            clear = when if when is UNKNOWN else not when
        elif clear is not True and clear is not False:
            clear = UNKNOWN
        return when, clear

    def is_settled(self, when: Value, clear: Value) -> bool:
        """Whether looking again with these values would change nothing, until something is due."""
        when, clear = self.decide(when, clear)
        match self.phase:
            case Phase.IDLE:
                return when is not True
            case Phase.PENDING:
                return when is True and self.plan.max_gap_ms >= self.plan.for_ms
            case Phase.RAISED:
                return clear is not True and self.plan.auto_clear_ms is None
            case Phase.CLEARING:
                return clear is True and self.plan.auto_clear_ms is None
            case Phase.COUNTED:
                return when is True

    def fire(self) -> Change | None:
        """Do what is due at `due_ms`."""
        moment_ms = self.due_ms
        change = None
        if self.phase is Phase.PENDING:
            if moment_ms == self.since_ms + self.plan.for_ms:
                change = self._complete(moment_ms)
            else:
                self.phase = Phase.IDLE  # the gap since the last look is too long to trust it
        elif (
            self.phase is Phase.CLEARING and moment_ms == self.clearing_ms + self.plan.clear_for_ms
        ):
            change = self._clear(moment_ms, "clear")
        elif self._auto_clear_due() == moment_ms:
            change = self._clear(moment_ms, "auto_clear")
        elif self.opening_ms == moment_ms:
            change = self._open(moment_ms)
        else:
            change = self._regrade(moment_ms)
        self.due_ms = self._next_due()
        return change

    def abandon(self, time_ms: int) -> Change | None:
        """Clear the alarm because its key is forgotten; None when it is not up."""
        return self._clear(time_ms, "max_keys") if self.is_active else None

    def _step(self, time_ms: int, when: Value, clear: Value) -> Change | None:
        match self.phase:
            case Phase.IDLE:
                return self._leave_idle(time_ms, when)
            case Phase.PENDING | Phase.COUNTED:
                if when is False:
                    self.phase = Phase.IDLE
            case Phase.RAISED:
                if clear is True:
                    return self._begin_clearing(time_ms)
            case Phase.CLEARING:
                if clear is False:
                    self.phase = Phase.RAISED
        return None

    def _leave_idle(self, time_ms: int, when: Value) -> Change | None:
        if when is False:
            self.is_armed = True
        if when is not True or not self.is_armed:
            return None
        self.since_ms = time_ms
        if self.plan.for_ms == 0:
            return self._complete(time_ms)
        self.phase = Phase.PENDING
        return None

    def _complete(self, time_ms: int) -> Change | None:
        """The condition has held for long enough: raise, or count it where it must repeat."""
        plan = self.plan
        if plan.repeat_times > 1:
            horizon_ms = time_ms - plan.repeat_within_ms
            self.hits = [hit for hit in self.hits if hit > horizon_ms] + [time_ms]
            if len(self.hits) < plan.repeat_times:
                self.phase = Phase.COUNTED if plan.for_ms else Phase.IDLE
                return None
            self.since_ms = self.hits[0]
            self.hits = NO_HITS
        self.phase = Phase.RAISED
        gate = plan.gate
        if gate is not None and not gate.is_open(time_ms):
            self.is_hidden = True
            self.looked_ms = time_ms
            self.opening_ms = gate.next_opening_ms(time_ms) if plan.raises_at_opening else NEVER
            return None
        return self._raise(time_ms, "when")

    def _raise(self, time_ms: int, cause: Literal["when", "opening"]) -> Change:
        self.n += 1
        self.severity = self._grade(time_ms)
        return self._change("raised", time_ms, cause)

    def _open(self, time_ms: int) -> Change | None:
        """The rule has become active while the condition holds."""
        gate = self.plan.gate
        if gate is not None and not gate.is_open(time_ms):
            self.opening_ms = gate.next_opening_ms(time_ms)  # its hours have changed since
            return None
        self.is_hidden = False
        self.opening_ms = NEVER
        return self._raise(time_ms, "opening")

    def _begin_clearing(self, time_ms: int) -> Change | None:
        if self.plan.clear_for_ms == 0:
            return self._clear(time_ms, "clear")
        self.phase = Phase.CLEARING
        self.clearing_ms = time_ms
        return None

    def _clear(
        self, time_ms: int, cause: Literal["clear", "auto_clear", "max_keys"]
    ) -> Change | None:
        self.phase = Phase.IDLE
        if self.is_hidden:
            self.is_hidden = False
            self.opening_ms = NEVER
            return None
        return self._change("cleared", time_ms, cause)

    def _reset(self) -> None:
        if self.phase is Phase.PENDING:
            self.phase = Phase.IDLE
        elif self.phase is Phase.CLEARING:
            self.phase = Phase.RAISED

    def _note_levels(self, time_ms: int, levels: Sequence[Value]) -> None:
        starts = self.level_starts
        for index, value in enumerate(levels):
            if value is True:
                if starts[index] is None:
                    starts[index] = time_ms
            elif value is False:
                starts[index] = None

    def _grade(self, time_ms: int) -> Severity:
        """The highest severity whose level has held for long enough."""
        self.looked_ms = time_ms
        best, best_rank = self.plan.severity, -1
        for (severity, for_ms, rank), start_ms in zip(
            self.plan.levels, self.level_starts, strict=True
        ):
            if start_ms is not None and start_ms + for_ms <= time_ms and rank > best_rank:
                best, best_rank = severity, rank
        return best

    def _regrade(self, time_ms: int) -> Change | None:
        if not self.plan.levels:
            return None
        severity = self._grade(time_ms)
        if severity == self.severity:
            return None
        self.severity = severity
        return self._change("changed", time_ms, "levels")

    def _change(
        self,
        event: Literal["raised", "changed", "cleared"],
        time_ms: int,
        cause: Cause,
    ) -> Change:
        return Change(event, time_ms, self.since_ms, self.severity, self.n, cause)

    def _next_due(self) -> int:
        if self.phase is Phase.PENDING:
            gap_over_ms = self.seen_ms + self.plan.max_gap_ms + 1
            return min(self.since_ms + self.plan.for_ms, gap_over_ms)
        if self.phase not in (Phase.RAISED, Phase.CLEARING):
            return NEVER
        due_ms = min(self._auto_clear_due(), self.opening_ms)
        if self.phase is Phase.CLEARING:
            due_ms = min(due_ms, self.clearing_ms + self.plan.clear_for_ms)
        return due_ms if self.is_hidden else min(due_ms, self._level_due())

    def _auto_clear_due(self) -> int:
        after_ms = self.plan.auto_clear_ms
        if after_ms is None:
            return NEVER
        # It may have been true for the last time long before `for` was over.
        return max(self.true_ms + after_ms, self.looked_ms)

    def _level_due(self) -> int:
        due_ms = NEVER
        for (_, for_ms, _), start_ms in zip(self.plan.levels, self.level_starts, strict=True):
            if start_ms is not None and self.looked_ms < start_ms + for_ms < due_ms:
                due_ms = start_ms + for_ms
        return due_ms

    def pack(self) -> list[Value]:
        """Its state as plain values."""
        return [
            int(self.phase),
            self.n,
            self.since_ms,
            self.clearing_ms,
            self.seen_ms,
            self.true_ms,
            self.looked_ms,
            self.severity,
            self.is_armed,
            self.hits,
            self.level_starts,
            self.is_hidden,
            self.opening_ms,
        ]

    def unpack(self, packed: list[Value]) -> None:
        """Become what `pack` was called on; levels that have changed since start anew."""
        self.phase = Phase(packed[0])
        self.n, self.since_ms, self.clearing_ms = packed[1:4]
        self.seen_ms, self.true_ms, self.looked_ms = packed[4:7]
        self.severity, self.is_armed = packed[7:9]
        self.hits = packed[9] or NO_HITS
        if self.level_starts and len(packed[10]) == len(self.level_starts):
            self.level_starts = list(packed[10])
        if len(packed) > PACKED_BEFORE_HOURS:
            self.is_hidden, self.opening_ms = packed[11:13]
        self.due_ms = self._next_due()

    def unpack_alarm(self, packed: list[Value]) -> None:
        """Take over no more than the alarm: whether it is up, since when, and its number."""
        before = Condition(self.plan)
        before.unpack(packed)
        self.n = before.n
        if before.is_active:
            self.phase = Phase.RAISED
            self.since_ms, self.severity = before.since_ms, before.severity
            self.seen_ms, self.true_ms, self.looked_ms = (
                before.seen_ms,
                before.true_ms,
                before.looked_ms,
            )
        self.due_ms = self._next_due()
