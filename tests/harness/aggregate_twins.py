"""The aggregates by their definitions: each recomputed from all samples of a window, slowly."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

from gateway.rules.spec import AggregateSpec
from gateway.rules.values import UNKNOWN


def numbers(samples):
    return [value for _, value in samples]


def percentile(values, rank):
    ordered = sorted(values)
    place = (len(ordered) - 1) * rank / 100
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def slope(samples):
    samples = [(t - samples[0][0], x) for t, x in samples]
    mean_t = math.fsum(t / 1000 for t, _ in samples) / len(samples)
    mean_x = math.fsum(numbers(samples)) / len(samples)
    rise = math.fsum((t / 1000 - mean_t) * (x - mean_x) for t, x in samples)
    run = math.fsum((t / 1000 - mean_t) ** 2 for t, _ in samples)
    return rise / run if len({t for t, _ in samples}) > 1 else UNKNOWN


def rate(samples):
    span_s = (samples[-1][0] - samples[0][0]) / 1000
    steps = [b - a if b >= a else b for (_, a), (_, b) in pairwise(samples)]
    return math.fsum(steps) / span_s if span_s > 0 else UNKNOWN


def ewma(samples, tau_ms):
    newest = samples[-1][0]
    weights = [math.exp((t - newest) / tau_ms) for t, _ in samples]
    return math.fsum(w * x for w, (_, x) in zip(weights, samples, strict=True)) / math.fsum(weights)


def held_area(samples, now_ms):
    ends = [t for t, _ in samples[1:]] + [now_ms]
    return math.fsum(
        value * (end - start) for (start, value), end in zip(samples, ends, strict=True)
    )


def time_mean(samples, now_ms):
    span_ms = now_ms - samples[0][0]
    return held_area(samples, now_ms) / span_ms if span_ms > 0 else samples[-1][1]


def top(samples, count):
    greatest = {}
    for by, value in numbers(samples):
        greatest[by] = max(value, greatest.get(by, value))
    ordered = sorted(greatest.items(), key=lambda item: (-item[1], item[0]))
    return [{"by": by, "value": value} for by, value in ordered[: int(count)]]


TWINS = {
    "sum": lambda s, _now, _p: math.fsum(numbers(s)),
    "avg": lambda s, _now, _p: math.fsum(numbers(s)) / len(s),
    "min": lambda s, _now, _p: min(numbers(s)),
    "max": lambda s, _now, _p: max(numbers(s)),
    "range": lambda s, _now, _p: max(numbers(s)) - min(numbers(s)),
    "first": lambda s, _now, _p: s[0][1],
    "last": lambda s, _now, _p: s[-1][1],
    "delta": lambda s, _now, _p: s[-1][1] - s[0][1],
    "median": lambda s, _now, _p: percentile(numbers(s), 50),
    "percentile": lambda s, _now, p: percentile(numbers(s), p),
    "stddev": lambda s, _now, _p: statistics.stdev(numbers(s)) if len(s) > 1 else UNKNOWN,
    "variance": lambda s, _now, _p: statistics.variance(numbers(s)) if len(s) > 1 else UNKNOWN,
    "rate": lambda s, _now, _p: rate(s),
    "slope": lambda s, _now, _p: slope(s),
    "ewma": lambda s, _now, p: ewma(s, p),
    "time_avg": lambda s, now, _p: time_mean(s, now),
    "duration_true": lambda s, now, _p: held_area(s, now) / 1000,
    "list": lambda s, _now, p: numbers(s)[-int(p) :],
    "distinct": lambda s, _now, _p: len(set(numbers(s))),
    "count": lambda s, _now, _p: len(s),
    "topk": lambda s, _now, p: top(s, p),
}
EMPTY = {"count": 0, "distinct": 0}
PARAMETERS = {"percentile": 95.0, "ewma": 30_000.0, "list": 5.0, "topk": 3.0}
FUNCTIONS = sorted(TWINS)


def spec_of(function, name="x"):
    return AggregateSpec(name=name, function=function, parameter=PARAMETERS.get(function))


def expected(function, samples, now_ms):
    """What `function` is over `samples` (time, value), oldest first."""
    if not samples:
        return EMPTY.get(function, UNKNOWN)
    return TWINS[function](samples, now_ms, PARAMETERS.get(function))


def agree(function, got, wanted):
    """Whether a result is the definition's, within what rounding may do."""
    if wanted is UNKNOWN or got is UNKNOWN:
        return got is wanted
    if isinstance(wanted, list):
        return got == wanted
    return math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-6)
