"""What rules write into derived streams: which values, and when (RULES S4, S10).

A derived record is a JSON object. Its `ts` is the event time at which it came about: the end of the
window, the moment of the match, the time of the event. What is unknown is null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gateway.rules.revisions import REVISION
from gateway.rules.spec import EmitSpec, Expression, RuleSpec, Scope
from gateway.rules.values import UNKNOWN, Value

TIME_FIELD = "ts"
REVISION_FIELD = "revision"
Read = Callable[[Scope], Value]


class Emission:
    """The records that one rule emits."""

    __slots__ = ("fields", "moment", "stream")

    def __init__(self, spec: RuleSpec, emit: EmitSpec) -> None:
        self.stream = emit.stream
        self.moment = emit.on
        self.fields = _fields_of(spec, emit)

    def record(self, time_ms: int, scope: Scope) -> dict[str, Value] | None:
        """The record of a moment; None when nothing of it is known.

        A rule that computes nothing passes the fields of its event on.
        """
        if not self.fields:
            payload = scope.get("payload")
            passed = payload if isinstance(payload, dict) else {}
            return {**passed, TIME_FIELD: time_ms}
        found = {name: read(scope) for name, read in self.fields.items()}
        if all(value is UNKNOWN for value in found.values()):
            return None
        known = {name: None if value is UNKNOWN else value for name, value in found.items()}
        if scope.get(REVISION):
            known.setdefault(REVISION_FIELD, scope[REVISION])
        return {TIME_FIELD: time_ms, **known}


def emission_of(spec: RuleSpec) -> Emission | None:
    """What a rule emits; None when it doesn't."""
    return Emission(spec, spec.emit) if spec.emit is not None else None


def emitted_parts(spec: RuleSpec) -> Iterator[Expression]:
    """The expressions of the fields."""
    if spec.emit is None:
        return
    yield from spec.emit.fields.values()
    if spec.emit.rank is not None:
        yield spec.emit.rank.by
        yield from [spec.emit.rank.per] if spec.emit.rank.per is not None else []


def passes_event_on(spec: RuleSpec) -> bool:
    """Whether the records are the events themselves."""
    emit = spec.emit
    return emit is not None and not (emit.fields or spec.aggregates or spec.let)


def _fields_of(spec: RuleSpec, emit: EmitSpec) -> Mapping[str, Read]:
    """The fields as they are written; else what the rule computes, under its own names."""
    if emit.fields:
        return {name: expression.evaluate for name, expression in emit.fields.items()}
    names = [*(one.name for one in spec.aggregates), *(one.name for one in spec.let)]
    return {name: _reader(name) for name in names}


def _reader(name: str) -> Read:
    def read(scope: Scope) -> Value:
        return scope.get(name, UNKNOWN)

    return read
