"""What an anomaly means for one rule: the method, from which score on, and in its own words."""

from __future__ import annotations

from gateway.rules.anomalies.methods import METHODS
from gateway.rules.anomalies.scores import Method, towards
from gateway.rules.reasons import Teller
from gateway.rules.spec import AnomalySpec, Expression, Scope
from gateway.rules.values import UNKNOWN, Value

CLEAR_SHARE = 0.5
"""An alarm clears when the score falls below this share of the sensitivity."""


class AnomalyPlan:
    """The anomaly that one rule looks for."""

    __slots__ = ("clear_below", "direction", "reasons", "resample_ms", "samples", "spec")
    for_ms = 0

    def __init__(self, spec: AnomalySpec) -> None:
        self.spec = spec
        self.direction = spec.direction
        self.resample_ms = spec.resample_ms
        self.clear_below = spec.sensitivity * CLEAR_SHARE
        self.samples: tuple[Expression, ...] = (spec.value,)
        self.reasons: tuple[Teller, Teller] = (
            ScoreReason(spec, f"at least {spec.sensitivity:g}"),
            ScoreReason(spec, f"below {self.clear_below:g}"),
        )

    def begin(self) -> Method:
        """The method for one more key, with nothing learned."""
        return METHODS[self.spec.method](self.spec)

    def judge(self, score: float) -> tuple[float, Value]:
        """The score as rules read it, and whether it is an anomaly; unknown between the two."""
        score = towards(score, self.direction)
        if score >= self.spec.sensitivity:
            return score, True
        return score, False if score < self.clear_below else UNKNOWN


class ScoreReason:
    """Why the alarm of an anomaly is raised, or clears."""

    __slots__ = ("bound", "method", "text")

    def __init__(self, spec: AnomalySpec, bound: str) -> None:
        self.method = spec.method
        self.text = spec.value.text
        self.bound = bound

    def tell(self, scope: Scope, held_ms: int = 0) -> str:
        """The reason as a text."""
        score = scope.get("score")
        told = f" {score:.2f}" if isinstance(score, float) else ""
        return f"{self.method} of {self.text}: score{told} is {self.bound}"
