"""Which rules feed which: sources that are rules, joined to the streams that those emit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.rules.spec import JoinSpec, RuleSpec, SequenceSpec, Source, StepSpec

Streams = Mapping[str, str]
"""The stream that each rule emits, by the id of the rule."""


def with_streams(rule: RuleSpec, streams: Streams) -> RuleSpec:
    """The rule, each of its sources that is a rule with the stream of that rule."""
    return replace(
        rule,
        sources=tuple(_source(one, streams) for one in rule.sources),
        join=None if rule.join is None else _join(rule.join, streams),
        sequence=None if rule.sequence is None else _sequence(rule.sequence, streams),
    )


def _source(source: Source, streams: Streams) -> Source:
    if source.kind == "topic":
        return source
    return replace(source, stream=streams.get(source.name, ""))


def _join(join: JoinSpec, streams: Streams) -> JoinSpec:
    sources = {name: _source(source, streams) for name, source in join.sources.items()}
    return replace(join, sources=sources)


def _sequence(sequence: SequenceSpec, streams: Streams) -> SequenceSpec:
    return replace(sequence, steps=tuple(_step(step, streams) for step in sequence.steps))


def _step(step: StepSpec, streams: Streams) -> StepSpec:
    return replace(
        step,
        source=None if step.source is None else _source(step.source, streams),
        all_of=tuple(_step(part, streams) for part in step.all_of),
    )
