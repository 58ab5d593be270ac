"""A value that leaps out of its history, or dips below it."""

from __future__ import annotations

from gateway.rules.anomalies.baselines import Quartiles
from gateway.rules.anomalies.zscore import ZScore
from gateway.rules.spec import AnomalySpec


class Spike(ZScore):
    """As `zscore`, by median and quartiles: the spikes before hide none of those that follow."""

    __slots__ = ()

    def __init__(self, spec: AnomalySpec) -> None:
        super().__init__(spec)
        self.baseline = Quartiles(spec.history)
