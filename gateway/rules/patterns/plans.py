"""From what a rule file says to the plan of its pattern."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.rules.anomalies.plans import AnomalyPlan
from gateway.rules.patterns.absences import AbsencePlan
from gateway.rules.patterns.sequences import SequencePlan
from gateway.rules.spec import Expression, RuleSpec, Source

PatternPlan = AbsencePlan | AnomalyPlan | SequencePlan


def pattern_of(spec: RuleSpec) -> PatternPlan | None:
    """The plan of the rule's pattern; None when its detector is another."""
    if spec.absent is not None:
        return AbsencePlan(spec.absent)
    if spec.anomaly is not None:
        return AnomalyPlan(spec.anomaly)
    return SequencePlan(spec, spec.sequence) if spec.sequence is not None else None


def step_conditions(spec: RuleSpec) -> Iterator[Expression]:
    """Every condition in the steps of a sequence."""
    for step in spec.sequence.steps if spec.sequence is not None else ():
        for part in (step, *step.all_of):
            for expression in (part.when, part.absent, part.until):
                if expression is not None:
                    yield expression


def sources_read(spec: RuleSpec) -> tuple[Source, ...]:
    """The sources of the rule, of its join and of its steps, each once."""
    found = dict.fromkeys(spec.sources)
    found |= dict.fromkeys(spec.join.sources.values() if spec.join is not None else ())
    for step in spec.sequence.steps if spec.sequence is not None else ():
        for part in (step, *step.all_of):
            if part.source is not None:
                found[part.source] = None
    return tuple(found)


def topic_filters(spec: RuleSpec) -> tuple[str, ...]:
    """The topics of clients that the rule reads."""
    return tuple(source.name for source in sources_read(spec) if source.kind == "topic")


def streams_read(spec: RuleSpec) -> tuple[str, ...]:
    """The derived streams that the rule reads."""
    return tuple(source.stream for source in sources_read(spec) if source.kind == "rule")


def watched_lookup(spec: RuleSpec) -> str | None:
    """The look-up whose keys the rule expects to hear of."""
    return spec.absent.expect_lookup if spec.absent is not None else None
