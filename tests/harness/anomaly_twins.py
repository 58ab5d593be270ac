"""The anomaly methods by their definitions: each score recomputed from the whole history, slowly.

`values` are the (time, value) pairs up to the one that is judged, oldest first. None stands for a
score that isn't known yet.
"""

from __future__ import annotations

import math
import statistics
from itertools import groupby, pairwise

from gateway.rules.spec import AnomalySpec
from tests.harness.aggregate_twins import percentile


class Value:
    """Stands for the expression of an anomaly, where none is computed."""

    text = "payload.x"


def spec_of(method, *, history=40, sensitivity=3.0, warmup=10):
    return AnomalySpec(Value(), method, history, sensitivity, warmup)


def distance(value, centre, spread):
    least = 1e-9 * max(abs(centre), abs(value))
    if abs(value - centre) <= least:
        return 0.0
    spread = max(spread, least)
    return max(-1e6, min((value - centre) / spread, 1e6))


def by_moments(numbers, spec):
    """The last of the numbers, judged by those before it."""
    before = numbers[:-1][-spec.history :]
    if len(before) < spec.warmup:
        return None
    spread = statistics.stdev(before) if len(before) > 1 else 0.0
    return distance(numbers[-1], math.fsum(before) / len(before), spread)


def zscore(values, spec):
    return by_moments([x for _, x in values], spec)


def spike(values, spec):
    *before, last = [x for _, x in values][-spec.history - 1 :]
    if len(before) < spec.warmup:
        return None
    spread = (percentile(before, 75) - percentile(before, 25)) / 1.349
    return distance(last, percentile(before, 50), spread)


def level_shift(values, spec):
    numbers = [x for _, x in values]
    size = max(5, min(spec.history // 50, 50))
    ends = range(max(1, len(numbers) - spec.history), len(numbers) + 1)
    means = [math.fsum(numbers[max(0, end - size) : end]) / min(end, size) for end in ends]
    return by_moments(means, spec)


def rate(values, spec):
    firsts = [next(group) for _, group in groupby(values, lambda value: value[0])]
    if len(values) > 1 and values[-1][0] == values[-2][0]:
        return None
    rates = [(x - w) * 1000 / (t - s) for (s, w), (t, x) in pairwise(firsts)]
    return by_moments(rates, spec) if rates else None


def change_point(values, spec):
    numbers, up, down, score, is_anew = [], 0.0, 0.0, None, False
    for _, value in values:
        before = numbers[-spec.history :]
        if len(before) < spec.warmup:
            score = 0.0 if is_anew else None
        else:
            spread = statistics.stdev(before) if len(before) > 1 else 0.0
            step = distance(value, math.fsum(before) / len(before), spread)
            step = max(-10.0, min(step, 10.0))
            up, down = max(0.0, up + step - 1), max(0.0, down - step - 1)
            score = (up if up >= down else -down) / 10
            if abs(score) >= spec.sensitivity:
                numbers, up, down, is_anew = [], 0.0, 0.0, True
        numbers.append(value)
    return score


def stuck(values, spec):
    numbers = [x for _, x in values]
    longest = spec.warmup
    for number in range(1, len(numbers) + 1):
        runs, start = [], 0
        for _, group in groupby(numbers[:number]):
            length = len(list(group))
            runs.append((start + length, length))
            start += length
        over = [length for end, length in runs[:-1] if end > number - 1 - spec.history]
        longest = max(over) if over else longest
    return runs[-1][1] / longest if len(numbers) > spec.warmup else None


def contextual(values, spec):
    """Level shift of what is left of each value without the mean of its hour of the day."""
    left = []
    for place, (now_ms, value) in enumerate(values):
        before = values[max(0, place - spec.history) : place]
        alike = [
            x for then_ms, x in before if then_ms // 3_600_000 % 24 == now_ms // 3_600_000 % 24
        ]
        is_over = now_ms >= values[0][0] + 86_400_000
        left.append(value - math.fsum(alike) / len(alike) if alike and is_over else None)
    if left[-1] is None:
        return None
    return level_shift([(0, one) for one in left if one is not None], spec)


TWINS = {
    "zscore": zscore,
    "spike": spike,
    "level_shift": level_shift,
    "rate": rate,
    "change_point": change_point,
    "stuck": stuck,
    "contextual": contextual,
}
