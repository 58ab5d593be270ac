"""What the engine needs of each rule, worked out once: the order of its parts, what they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from gateway.rules.conditions import ConditionPlan
from gateway.rules.counters import FaultLimit, RuleCounters
from gateway.rules.duplicates import Duplicates
from gateway.rules.emissions import emission_of, emitted_parts, passes_event_on
from gateway.rules.expression.checker import Environment
from gateway.rules.expression.compiled import CompiledExpression, compile_expression
from gateway.rules.expression.fusion import FusedFunction, fuse
from gateway.rules.joins import join_of
from gateway.rules.lookups import Enriching, Version
from gateway.rules.patterns.plans import (
    pattern_of,
    sources_read,
    step_conditions,
    watched_lookup,
)
from gateway.rules.rankings import ranking_of
from gateway.rules.reasons import Reason, Teller
from gateway.rules.schedules import Hours
from gateway.rules.spec import (
    ConditionSpec,
    Expression,
    LetSpec,
    PayloadTemplate,
    RuleSpec,
    Scope,
    StatefulCall,
    Template,
)
from gateway.rules.values import Value
from gateway.rules.windows import WindowPlan

Evaluate = Callable[[Scope], Value]
EVENT_NAMES = frozenset({"payload", "topic", "device", "key", "ts", "arrival", "prev"})


EACH_COUNTS = compile_expression("true", Environment())
"""The sample of `count()`: every event is one."""
NO_VERSIONS: Mapping[str, Version] = {}
NEVER_TRUE = compile_expression("false", Environment())
"""The condition of a rule that only emits."""


class Step:
    """A name that is computed for each event: a `let`, or the call at `memory` that remembers."""

    __slots__ = ("call", "evaluate", "memory", "name")

    def __init__(self, name: str, evaluate: Evaluate | None, call: StatefulCall | None) -> None:
        self.name = name
        self.evaluate = evaluate
        self.call = call
        self.memory = -1


class RulePlan:
    """One rule, ready to run."""

    __slots__ = (
        "aggregates",
        "arguments",
        "clear",
        "clear_reason",
        "condition",
        "counters",
        "duplicates",
        "emission",
        "enriching",
        "fault_limit",
        "hours",
        "index",
        "is_lazy",
        "is_plain",
        "is_ready",
        "is_simple",
        "is_stopped",
        "join",
        "levels",
        "memories",
        "n_floor",
        "needs_last",
        "pattern",
        "place",
        "ranking",
        "reads_prev",
        "samples",
        "spec",
        "steps",
        "when",
        "when_reason",
        "where",
        "window",
    )

    def __init__(
        self, spec: RuleSpec, index: int, versions: Mapping[str, Version] = NO_VERSIONS
    ) -> None:
        self.pattern = pattern_of(spec)
        condition, alarm = self._condition_of(spec), spec.alarm
        self.spec = spec
        self.index = index
        self.condition = ConditionPlan(spec, condition)
        self.where = spec.where.evaluate if spec.where is not None else None
        self.when: Evaluate = condition.when.evaluate
        self.clear = condition.clear.evaluate if condition.clear is not None else None
        self.levels = tuple(level.when.evaluate for level in alarm.levels) if alarm else ()
        self.window = (
            WindowPlan(
                spec.window,
                spec.aggregates,
                spec.state.max_samples,
                spec.state.max_samples_total,
            )
            if spec.window is not None
            else None
        )
        self.samples = (
            tuple(aggregate.value or EACH_COUNTS for aggregate in spec.aggregates)
            if self.pattern is None
            else self.pattern.samples
        )
        self.arguments = tuple(
            None if sample is EACH_COUNTS else sample.evaluate for sample in self.samples
        )
        self.aggregates = frozenset(aggregate.name for aggregate in spec.aggregates)
        self.steps = tuple(_step_of(item) for item in spec.prelude)
        self.emission, self.ranking = emission_of(spec), ranking_of(spec)
        self.enriching = tuple(Enriching(one, versions) for one in spec.enrich)
        self.join = join_of(spec)
        self.duplicates = Duplicates(spec.dedupe) if spec.dedupe is not None else None
        self._number_memories()
        self.hours = tuple(Hours(schedule) for schedule in spec.schedules)
        self._classify()
        self.when_reason: Teller = Reason(condition.when, is_negated=False)
        self.clear_reason: Teller = Reason(
            condition.clear or condition.when, is_negated=condition.clear is None
        )
        if self.pattern is not None:
            self.when_reason, self.clear_reason = self.pattern.reasons
        self.place = Place()
        self.counters = RuleCounters()
        self.fault_limit = FaultLimit()
        self.is_stopped = False
        # Forgotten keys must not use the number of an alarm again.
        self.n_floor = 0

    def _condition_of(self, spec: RuleSpec) -> ConditionSpec:
        """The rule's condition; that of a pattern is true while the pattern says so."""
        if spec.condition is not None:
            return spec.condition
        if self.pattern is not None:
            return ConditionSpec(EACH_COUNTS, self.pattern.for_ms)
        if spec.emit is not None:
            return ConditionSpec(NEVER_TRUE)
        raise ValueError(f"rule {spec.id!r} has no detector; the loader should have said so")

    def _number_memories(self) -> None:
        self.memories = 0
        for step in self.steps:
            if step.call is not None:
                step.memory = self.memories
                self.memories += 1
        if self.duplicates is not None:
            self.memories += 1  # the last one is what it has seen

    def _classify(self) -> None:
        """Find out which short cuts are open to the rule."""
        read = names_of(event_parts(self.spec))
        read_late = names_of(late_parts(self.spec))
        self.reads_prev = "prev" in read | read_late
        # What an event alone decides can be computed before its time and key are known.
        by_time = {"ts", "key"} | {hours.name for hours in self.hours}
        is_early = not (self.steps or self.reads_prev or self.duplicates or read & by_time)
        self.is_ready = is_early and not (self.join or self.enriching)
        self.is_plain = self.is_ready and not (self.window or self.pattern or self.emits_each)
        levels_wait = any(for_ms for _, for_ms, _ in self.condition.levels)
        # Until it is first true such a condition has nothing to remember.
        self.is_lazy = self.condition.is_armed_at_first and not levels_wait
        # Raised, such a condition has nothing to do until it clears.
        self.is_simple = not (
            self.levels
            or self.condition.auto_clear_ms is not None
            or self.condition.on_unknown == "false"
        )
        is_read_late = read_late & remembered_names(self.spec) or passes_event_on(self.spec)
        self.needs_last = self.reads_prev or (self.can_wait and bool(is_read_late))

    @property
    def emits_each(self) -> bool:
        """Whether it emits without a match: each event, or each result of its window."""
        return self.emission is not None and self.emission.moment != "match"

    @property
    def takes_late(self) -> bool:
        """Whether its windows may change after their end."""
        return self.spec.window is not None and self.spec.window.allowed_lateness_ms > 0

    @property
    def can_wait(self) -> bool:
        """Whether time alone can make something happen to it."""
        plan = self.condition
        return bool(
            self.window
            or (self.spec.anomaly is not None and self.spec.anomaly.resample_ms is not None)
            or plan.for_ms
            or plan.clear_for_ms
            or plan.auto_clear_ms is not None
            or (plan.gate is not None and plan.raises_at_opening)
            or any(for_ms for _, for_ms, _ in plan.levels)
        )


class Place:
    """Where the values of one rule lie among those that an event gives for all rules of a lane.

    Those of a plain rule are counted within the tuple of all plain rules.
    """

    __slots__ = ("clear", "levels", "samples", "when", "where")

    def __init__(self) -> None:
        self.where = -1
        self.when = -1
        self.clear = -1
        self.levels = slice(0, 0)
        self.samples = -1


class Layout:
    """Everything that an event alone decides, as expressions to be computed together.

    Its values are: the time, if it is read from the event; those of the plain rules as one tuple;
    and of each other rule its `where` and, as a tuple, its samples.
    """

    __slots__ = ("expressions", "owners", "plain", "shape")

    def __init__(self, time_field: Expression | None, plans: Sequence[RulePlan]) -> None:
        self.expressions: list[Expression] = [] if time_field is None else [time_field]
        self.shape: list[int | slice] = [0] if self.expressions else []
        # Where the tuple of the plain rules lies.
        self.plain = -1
        # Which of the plain rules each value in it belongs to.
        self.owners: list[int] = []
        self._place_all_plain([plan for plan in plans if plan.is_plain])
        for plan in plans:
            if plan.is_ready and not plan.is_plain:
                self._place_samples(plan)

    def fused(self) -> FusedFunction:
        """The function that computes them; only compiled ones can be fused, and all are."""
        return fuse(cast("list[CompiledExpression]", self.expressions), self.shape)

    def _place_all_plain(self, plans: Sequence[RulePlan]) -> None:
        start = len(self.expressions)
        for number, plan in enumerate(plans):
            self._place_plain(plan, start)
            self.owners += [number] * (len(self.expressions) - start - len(self.owners))
        if plans:
            self.plain = self._group(start)

    def _place_plain(self, plan: RulePlan, first: int) -> None:
        spec, place = plan.spec, Place()
        place.where = self._add(spec.where, first)
        if spec.condition is not None:
            place.when = self._add(spec.condition.when, first)
            place.clear = self._add(spec.condition.clear, first)
        start = len(self.expressions) - first
        for level in spec.alarm.levels if spec.alarm is not None else ():
            self._add(level.when)
        place.levels = slice(start, len(self.expressions) - first)
        plan.place = place

    def _place_samples(self, plan: RulePlan) -> None:
        place = Place()
        if plan.spec.where is not None:
            self.shape.append(self._add(plan.spec.where))
            place.where = len(self.shape) - 1
        start = len(self.expressions)
        for sample in plan.samples:
            self._add(sample)
        place.samples = self._group(start)
        plan.place = place

    def _add(self, expression: Expression | None, first: int = 0) -> int:
        if expression is None:
            return -1
        self.expressions.append(expression)
        return len(self.expressions) - 1 - first

    def _group(self, start: int) -> int:
        """Give the expressions from `start` on as one tuple; returns where it lies."""
        self.shape.append(slice(start, len(self.expressions)))
        return len(self.shape) - 1


def names_of(parts: Iterable[Expression | Template | StatefulCall]) -> frozenset[str]:
    """Every name that any of the parts reads."""
    return frozenset(name for part in parts for name in part.names)


def event_parts(spec: RuleSpec) -> Iterable[Expression | StatefulCall]:
    """The parts of a rule that are computed when an event comes."""
    yield from (_reader(item) for item in spec.prelude)
    yield from (item.value for item in spec.aggregates if item.value is not None)
    if spec.where is not None:
        yield spec.where
    yield from spec.dedupe.by if spec.dedupe is not None else ()
    yield from (one.key for one in spec.enrich)
    yield from emitted_parts(spec)
    yield from _conditions(spec)


def late_parts(spec: RuleSpec) -> Iterable[Expression | Template | StatefulCall]:
    """The parts of a rule that may be computed when time passes, long after the last event."""
    yield from (_reader(item) for item in spec.prelude)
    yield from (one.key for one in spec.enrich)
    yield from emitted_parts(spec)
    yield from _conditions(spec)
    if spec.alarm is not None and spec.alarm.message is not None:
        yield spec.alarm.message
    for publish in spec.publish:
        yield publish.topic
        yield from templates_in(publish.payload)


def _step_of(item: LetSpec | StatefulCall) -> Step:
    if isinstance(item, LetSpec):
        return Step(item.name, item.expression.evaluate, None)
    return Step(item.slot, None, item)


def _reader(item: LetSpec | StatefulCall) -> Expression | StatefulCall:
    return item.expression if isinstance(item, LetSpec) else item


def _conditions(spec: RuleSpec) -> Iterable[Expression]:
    yield from step_conditions(spec)
    if spec.condition is not None:
        yield spec.condition.when
        if spec.condition.clear is not None:
            yield spec.condition.clear
    if spec.alarm is not None:
        yield from (level.when for level in spec.alarm.levels)


def remembered_names(spec: RuleSpec) -> frozenset[str]:
    """The names of an event that only the event itself can tell, once it is over."""
    told_by_key = {"key", "device"} if is_keyed_by_device(spec) else {"key"}
    return EVENT_NAMES - told_by_key - {"ts"}


def is_keyed_by_device(spec: RuleSpec) -> bool:
    """Whether the key is just the device."""
    return len(spec.key) == 1 and spec.key[0].text.strip() == "device"


def templates_in(payload: PayloadTemplate) -> Iterable[Template]:
    """Every template of a payload, which may lie in mappings and lists."""
    if payload is None:
        return
    if isinstance(payload, tuple):
        for item in payload:
            yield from templates_in(item)
    elif isinstance(payload, Mapping):
        for item in payload.values():
            yield from templates_in(item)
    else:
        yield payload


def lane_name(spec: RuleSpec) -> str:
    """Equal for rules that can share the timeline of a key."""
    time, state, lookup = spec.time, spec.state, watched_lookup(spec)
    parts = (
        *sorted(f"{source.kind}:{source.name}" for source in sources_read(spec)),
        "key",
        *(expression.text for expression in spec.key),
        "time",
        time.by,
        time.field.text if time.field is not None else "",
        *(str(ms) for ms in (time.out_of_order_ms, time.late_ms, time.early_ms, time.idle_ms)),
        time.late_policy,
        time.watermark,
        "state",
        str(state.ttl_ms),
        str(state.max_keys),
        *(["expect", lookup] if lookup is not None else []),
        *(["join", spec.id] if spec.join is not None else []),
    )
    return "|".join(parts)
