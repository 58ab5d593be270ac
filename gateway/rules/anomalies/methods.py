"""Every method by its name in the language."""

from __future__ import annotations

from collections.abc import Callable

from gateway.rules.anomalies.change_point import ChangePoint
from gateway.rules.anomalies.contextual import Contextual
from gateway.rules.anomalies.level_shift import LevelShift
from gateway.rules.anomalies.rate import RateOfChange
from gateway.rules.anomalies.scores import Method
from gateway.rules.anomalies.spike import Spike
from gateway.rules.anomalies.stuck import Stuck
from gateway.rules.anomalies.zscore import ZScore
from gateway.rules.spec import AnomalySpec

METHODS: dict[str, Callable[[AnomalySpec], Method]] = {
    "zscore": ZScore,
    "level_shift": LevelShift,
    "spike": Spike,
    "change_point": ChangePoint,
    "rate": RateOfChange,
    "stuck": Stuck,
    "contextual": Contextual,
}
