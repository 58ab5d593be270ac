"""What a sequence means for one rule: its steps, worked out once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gateway.mqtt import matches
from gateway.rules.expression.compiled import CompiledExpression
from gateway.rules.expression.template import CompiledTemplate, Placeholder
from gateway.rules.instants import NEVER
from gateway.rules.patterns.bindings import Memory, Path, Pick, paths_in
from gateway.rules.patterns.sequence_reasons import Matched, Over
from gateway.rules.reading.anatomy import expressions_of
from gateway.rules.reasons import Teller
from gateway.rules.spec import Expression, RuleSpec, Scope, SequenceSpec, Source, StepSpec
from gateway.rules.values import Value

LINEAR_STEPS_MAX = 3
TOPICS_MAX = 65_536
TAIL_NAMES = frozenset({"payload", "topic", "device", "arrival"})


class Test:
    """One condition of a step.

    It is computed with the event where the event alone decides it, and else for each partial match.
    """

    __slots__ = ("evaluate", "group", "sample")

    def __init__(self, evaluate: Callable[[Scope], Value], sample: int, group: int) -> None:
        self.evaluate = evaluate
        self.sample = sample
        self.group = group


class Part:
    """What one event must be to be taken: a step, or a part of an `all_of`."""

    __slots__ = ("id", "memory", "test")

    def __init__(self, part_id: str, test: Test, memory: Memory) -> None:
        self.id = part_id
        self.test = test
        self.memory = memory


class Guard:
    """A `not`: what may not come before the next step, or not for so long."""

    __slots__ = ("is_strict", "test", "within_ms")

    def __init__(self, test: Test, within_ms: int | None, *, is_strict: bool) -> None:
        self.test = test
        self.within_ms = within_ms
        self.is_strict = is_strict


class Step:
    """One step that takes events, from `least` to `most` of them."""

    __slots__ = (
        "guards",
        "is_any",
        "is_group",
        "is_skippable",
        "is_strict",
        "least",
        "most",
        "parts",
        "until",
        "within_ms",
    )

    def __init__(
        self, spec: StepSpec, parts: tuple[Part, ...], until: Test | None, guards: tuple[Guard, ...]
    ) -> None:
        self.parts = parts
        self.until = until
        self.guards = guards
        self.is_group = bool(spec.all_of)
        self.is_any = spec.contiguity == "any"
        self.is_strict = spec.contiguity == "strict"
        self.is_skippable = spec.is_optional or spec.times_min == 0
        self.least = len(parts) if self.is_group else max(1, spec.times_min)
        self.most = len(parts) if self.is_group else (spec.times_max or NEVER)
        self.within_ms = NEVER if spec.within_ms is None else spec.within_ms


class SequencePlan:
    """The sequence of one rule."""

    __slots__ = (
        "_groups",
        "_groups_of_topic",
        "emits_timeouts",
        "final_guards",
        "for_ms",
        "has_sources",
        "has_timers",
        "is_linear",
        "partials_max",
        "reads_steps",
        "reasons",
        "samples",
        "skip",
        "steps",
        "tail",
        "within_ms",
    )

    def __init__(self, spec: RuleSpec, sequence: SequenceSpec) -> None:
        builder = _Builder(spec, sequence)
        self.for_ms = 0
        self.steps = builder.steps
        self.final_guards = tuple(builder.guards)
        self.samples: tuple[Expression, ...] = tuple(builder.samples)
        self.reads_steps = builder.reads_steps
        self.within_ms = NEVER if sequence.within_ms is None else sequence.within_ms
        self.skip = sequence.skip
        self.emits_timeouts = sequence.on_timeout == "emit"
        self.has_timers = self.emits_timeouts or bool(self.final_guards)
        self.tail = builder.tail if self.has_timers else None
        self.partials_max = spec.state.max_partials
        self.has_sources = builder.has_sources
        self._groups = [tuple(source.topic_filter for source in group) for group in builder.groups]
        self._groups_of_topic: dict[str, tuple[bool, ...]] = {}
        self.is_linear = self._find_linear(sequence)
        self.reasons: tuple[Teller, Teller] = (Matched(sequence), Over())

    def allowed(self, topic: str) -> tuple[bool, ...]:
        """For each group of sources, whether the topic belongs to it."""
        found = self._groups_of_topic.get(topic)
        if found is None:
            if len(self._groups_of_topic) >= TOPICS_MAX:
                self._groups_of_topic.clear()
            found = tuple(any(matches(name, topic) for name in group) for group in self._groups)
            self._groups_of_topic[topic] = found
        return found

    def _find_linear(self, sequence: SequenceSpec) -> bool:
        """Whether it is steps of one event each, in a row, and nothing more."""
        return (
            len(self.steps) <= LINEAR_STEPS_MAX
            and len(self.steps) == len(sequence.steps) == len(self.samples)
            and not (self.has_timers or self.has_sources or self.reads_steps)
            and self.within_ms < NEVER
            and all(
                step.least == step.most == 1
                and not (step.is_any or step.is_skippable or step.is_group)
                and not (step.is_strict and number)
                and step.within_ms == NEVER
                for number, step in enumerate(self.steps)
            )
        )


class _Builder:
    """Takes a sequence apart."""

    def __init__(self, spec: RuleSpec, sequence: SequenceSpec) -> None:
        self.spec = spec
        self.sequence = sequence
        flat = [part for step in sequence.steps for part in (step.all_of or (step,))]
        self.ids = frozenset(part.id for part in flat)
        self.has_sources = any(part.source is not None for part in flat)
        self.groups: list[tuple[Source, ...]] = []
        self.samples: list[Expression] = []
        self.reads_steps = False
        self.paths = paths_read(spec, self.ids)
        told = (spec.alarm, spec.emit, spec.publish, spec.suppress)
        self.tail = Pick(paths_read(told, TAIL_NAMES))
        self.guards: list[Guard] = []
        self.steps = tuple(self._steps())

    def _steps(self) -> Iterable[Step]:
        last = len(self.sequence.steps) - 1
        for place, step in enumerate(self.sequence.steps):
            if step.absent is not None:
                within_ms = step.within_ms
                if within_ms is None and place in (0, last):
                    within_ms = self.sequence.within_ms
                test = self._test(step.absent, step)
                is_strict = step.contiguity == "strict"
                self.guards.append(Guard(test, within_ms, is_strict=is_strict))
                continue
            parts = tuple(self._parts(step))
            until = self._test(step.until, step) if step.until is not None else None
            guards, self.guards = tuple(self.guards), []
            yield Step(step, parts, until, guards)

    def _parts(self, step: StepSpec) -> Iterable[Part]:
        is_many = not step.all_of and (step.times_min, step.times_max) != (1, 1)
        for part in step.all_of or (step,):
            if part.when is not None:
                read = [path[1:] for path in self.paths if path[0] == part.id]
                memory = Memory(read, is_many=is_many)
                yield Part(part.id, self._test(part.when, part), memory)

    def _test(self, expression: Expression, step: StepSpec) -> Test:
        group = -1
        if self.has_sources:
            group = len(self.groups)
            self.groups.append((step.source,) if step.source is not None else self.spec.sources)
        if expression.names & self.ids:
            self.reads_steps = True
            return Test(expression.evaluate, -1, group)
        self.samples.append(expression)
        return Test(expression.evaluate, len(self.samples) - 1, group)


def paths_read(part: object, names: frozenset[str]) -> list[Path]:
    """Every path that begins with one of the names, in any expression of a spec."""
    return [
        path
        for found in expressions_of(part)
        for expression in _plain(found)
        for path in paths_in(expression.tree, names)
    ]


def _plain(part: CompiledExpression | CompiledTemplate) -> Sequence[CompiledExpression]:
    if isinstance(part, CompiledExpression):
        return (part,)
    return [piece.expression for piece in part.parts if isinstance(piece, Placeholder)]
