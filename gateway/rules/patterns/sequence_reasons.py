"""Why the alarm of a sequence is raised, and why it clears."""

from __future__ import annotations

from gateway.rules.outputs import spell_time
from gateway.rules.patterns.bindings import look_up
from gateway.rules.reasons import spell_duration
from gateway.rules.spec import Scope, SequenceSpec, StepSpec
from gateway.rules.values import Value


class Matched:
    """Tells which step took an event when."""

    __slots__ = ("steps", "within_ms")

    def __init__(self, sequence: SequenceSpec) -> None:
        self.steps = sequence.steps
        self.within_ms = sequence.within_ms

    def tell(self, scope: Scope, held_ms: int = 0) -> str:
        """The reason as a text."""
        found = [text for step in self.steps for text in self._texts(step, scope)]
        return ", ".join(found)

    def _texts(self, step: StepSpec, scope: Scope) -> list[str]:
        if step.absent is not None:
            span_ms = step.within_ms or (self.within_ms if step is self.steps[-1] else None)
            span = f" within {spell_duration(span_ms)}" if span_ms else ""
            return [f"no {step.absent.text}{span}"]
        found = []
        for part in step.all_of or (step,):
            taken = scope.get(part.id)
            count = look_up(taken, ("count",)) if isinstance(taken, dict) else None
            if type(count) is int and "first" in taken:  # type: ignore[operator] # a dict, see above
                times = (_time(taken, "first"), _time(taken, "last"))
                found.append(f"{part.id} {count} times from {times[0]} to {times[1]}")
            elif isinstance(taken, dict):
                found.append(f"{part.id} at {_time(taken)}")
        return found


class Over:
    """A match is a moment: without `auto_clear` it is over at once."""

    __slots__ = ()

    def tell(self, scope: Scope, held_ms: int = 0) -> str:
        """The reason as a text."""
        return "the match is told"


def _time(taken: Value, *path: str) -> str:
    time_ms = look_up(taken, (*path, "ts"))
    return spell_time(time_ms) if type(time_ms) is int else "?"
