"""How often the state of the rules is saved, and what derived streams keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.store import StreamSpec


def single(name: str) -> StreamSpec:
    """A derived stream that keeps what streams keep; one partition keeps the order of its rule."""
    return StreamSpec(name, partitions=1)


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How often state is saved, and how long the loop may keep others waiting.

    State is saved after `checkpoint_records`, but not more often than `checkpoint_interval_ms`
    allows; in any case after `checkpoint_records_max`, which bounds how much a crash repeats, and
    when it is `checkpoint_age_ms_max` old. Between two ticks lie at least `tick_interval_ms`,
    however much silence there is to notice.
    """

    checkpoint_interval_ms: int = 10_000
    checkpoint_records: int = 10_000
    checkpoint_records_max: int = 200_000
    checkpoint_age_ms_max: int = 300_000
    tick_interval_ms: int = 1_000
    slice_records: int = 500
    outputs_max: int = 10_000
    retry_ms: int = 500
    derived_spec: Callable[[str], StreamSpec] = single
    """What a derived stream is to keep."""
