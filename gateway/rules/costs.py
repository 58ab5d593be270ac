"""How much memory the state of a rule may take: a bound, and what to expect at one event a second.

The figures are those of CPython on 64 bits, rounded up; a test compares them with a running engine.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.rules.spec import AggregateSpec, RuleSpec, WindowSpec

KEY_BYTES: Final = 2_048
EVENT_BYTES: Final = 1_024  # a remembered event, for `prev` and messages that come later
MEMORY_BYTES: Final = 160
AGGREGATE_BYTES: Final = 512
SAMPLE_BYTES: Final = 48
COLUMN_BYTES: Final = 160
MEAN_SAMPLE_BYTES: Final = 64
SKETCH_BYTES: Final = 440_000  # every bucket in use
TOP_BYTES: Final = 512  # for each group that a window which starts anew gives
TOP_SAMPLE_BYTES: Final = 1_280  # each sample may be a group of its own
PARTIAL_BYTES: Final = 1_024  # for each step of a match under way
JOINED_EVENTS: Final = 1_000  # of each source that waits for others
CONTEXT_NUMBERS: Final = 3  # an hour, a value and a mean, where others keep one number
MS_PER_S: Final = 1_000
# What can be kept without its samples in a window that starts anew.
MERGEABLE: Final = frozenset(
    [
        "count",
        "sum",
        "avg",
        "min",
        "max",
        "first",
        "last",
        "stddev",
        "variance",
        "range",
        "rate",
        "delta",
        "slope",
        "time_avg",
        "duration_true",
        "topk",
    ]
)


class StateCost(NamedTuple):
    """The memory of one rule: for each key, and for each sample that a key's window holds."""

    keys_max: int
    key_bytes: int
    sample_bytes: int
    samples_max: int
    samples_at_1_hz: int
    samples_total_max: int = 0

    @property
    def bytes_max(self) -> int:
        """The bound: every key in use, and as many samples as all their windows may hold."""
        # Each window may hold one sample, however many the others do.
        samples = min(self.keys_max * self.samples_max, self.samples_total_max + self.keys_max)
        return self.keys_max * self.key_bytes + self.sample_bytes * samples

    @property
    def key_bytes_at_1_hz(self) -> int:
        """What a key takes that sends one event a second."""
        return self.key_bytes + self.sample_bytes * self.samples_at_1_hz


def cost_of(rule: RuleSpec) -> StateCost:
    """Estimate the state of a rule."""
    key_bytes = KEY_BYTES + EVENT_BYTES + MEMORY_BYTES * len(rule.prelude)
    key_bytes += AGGREGATE_BYTES * len(rule.aggregates)
    key_bytes += sum(TOP_BYTES * int(one.parameter or 0) for one in _tops(rule))
    key_bytes += SKETCH_BYTES * sum(_is_sketch(rule.window, one) for one in rule.aggregates)
    if rule.sequence is not None:
        key_bytes += PARTIAL_BYTES * len(rule.sequence.steps) * rule.state.max_partials
    if rule.join is not None:
        key_bytes += EVENT_BYTES * JOINED_EVENTS * (1 + len(rule.join.sources))
    if rule.anomaly is not None:
        numbers = CONTEXT_NUMBERS if rule.anomaly.method == "contextual" else 1
        key_bytes += SAMPLE_BYTES * rule.anomaly.history * numbers
    sample_bytes, samples_max, samples_at_1_hz = 0, 0, 0
    if rule.window is not None and _keeps_samples(rule.window, rule.aggregates):
        sample_bytes = SAMPLE_BYTES + COLUMN_BYTES * len(rule.aggregates)
        sample_bytes += TOP_SAMPLE_BYTES * len(_tops(rule))
        if _is_mean(rule.window, rule.aggregates):
            sample_bytes = MEAN_SAMPLE_BYTES
        samples_max = rule.window.count or rule.state.max_samples
        samples_at_1_hz = rule.window.count or _seconds(rule.window)
    keys_max = rule.state.max_keys if rule.key else 1
    return StateCost(
        keys_max,
        key_bytes,
        sample_bytes,
        samples_max,
        min(samples_at_1_hz, samples_max),
        rule.state.max_samples_total,
    )


def _tops(rule: RuleSpec) -> list[AggregateSpec]:
    return [one for one in rule.aggregates if one.function == "topk"]


def _keeps_samples(window: WindowSpec, aggregates: tuple[AggregateSpec, ...]) -> bool:
    if window.kind in ("sliding", "count", "hopping") or window.allowed_lateness_ms:
        return True
    return not all(one.function in MERGEABLE or one.is_sketch for one in aggregates)


def _is_sketch(window: WindowSpec | None, aggregate: AggregateSpec) -> bool:
    """Whether the aggregate is an approximation: where samples are at hand it is not."""
    is_growing = window is not None and window.kind in ("tumbling", "session")
    return aggregate.is_sketch and is_growing


def _is_mean(window: WindowSpec, aggregates: tuple[AggregateSpec, ...]) -> bool:
    """Whether the samples lie in arrays: three numbers each, and room to grow."""
    return window.kind == "sliding" and [one.function for one in aggregates] == ["avg"]


def _seconds(window: WindowSpec) -> int:
    return -(-((window.max_ms or window.size_ms) + window.allowed_lateness_ms) // MS_PER_S)
