import random
import statistics
from collections import defaultdict

import pytest

from gateway.rules.anomalies.resampling import Resampler
from gateway.rules.instants import NEVER


def test_each_step_with_values_gives_their_mean_at_its_end():
    rng = random.Random(2)
    times = sorted(rng.randint(0, 200_000) for _ in range(300))
    values = [(t, rng.gauss(0, 10)) for t in times]
    wanted = defaultdict(list)
    for t, value in values:
        wanted[(t // 1_000 + 1) * 1_000].append(value)
    resampler, got = Resampler(1_000), {}
    for t, value in [*values, (300_000, 0.0)]:
        due_ms = resampler.due_ms
        if due_ms <= t:
            got[due_ms] = resampler.take()
        resampler.add(t, value)
    assert got == {t: pytest.approx(statistics.fmean(own)) for t, own in wanted.items()}


def test_unpacked_it_goes_on():
    one, other = Resampler(10), Resampler(10)
    one.add(12, 4.0)
    other.unpack(one.pack())
    assert (other.due_ms, other.take(), other.due_ms) == (20, 4.0, NEVER)
