from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.instants import NEVER
from gateway.rules.spec import AggregateSpec, WindowSpec
from gateway.rules.values import UNKNOWN
from gateway.rules.windows import WindowPlan
from tests.gateway.rules.test_folds import random_value
from tests.harness.aggregate_twins import FUNCTIONS, agree, expected, spec_of

SIZE = 60_000
SPECS = {
    "sliding": WindowSpec("sliding", size_ms=SIZE),
    "tumbling": WindowSpec("tumbling", size_ms=SIZE, offset_ms=7_000),
    "hopping": WindowSpec("hopping", size_ms=SIZE, every_ms=25_000, offset_ms=3_000),
    "sparse hopping": WindowSpec("hopping", size_ms=20_000, every_ms=45_000),
    "session": WindowSpec("session", size_ms=9_000, max_ms=70_000),
    "count": WindowSpec("count", count=7, every_count=3),
}


def look(window, plan, samples):
    """Drive a window as a timeline does; returns every look: (moment, results)."""
    looks = []
    for time_ms, values in samples:
        looks += fire_until(window, time_ms)
        results = {}
        if window.add(time_ms, values, results):
            looks.append((time_ms, results))
    return looks + fire_until(window, NEVER - 1)


def fire_until(window, limit_ms):
    looks = []
    while window.due_ms <= limit_ms:
        results = {}
        looks.append((window.fire(results), results))
    return looks


def history(seed, function="avg", length=250):
    rng = random.Random(seed)
    now_ms, samples = rng.randint(-200_000, 200_000), []
    for _ in range(length):
        now_ms += rng.choice([0, 1, 999, 1_000, 5_000, 8_999, 9_000, 30_000, SIZE, SIZE + 1])
        samples.append((now_ms, [random_value(function, rng)]))
    return samples


def sliding_twin(samples, size):
    times = {t for t, _ in samples}
    looks = []
    for index, (t, _) in enumerate(samples):
        looks.append((t, index, [s for s in samples[: index + 1] if s[0] > t - size]))
    for expiry in {t + size for t in times} - times:
        held = [s for s in samples if expiry - size < s[0] <= expiry]
        looks.append((expiry, -1, held))
    return [(moment, held, moment) for moment, _, held in sorted(looks, key=lambda x: x[:2])]


def aligned_twin(samples, size, every, offset):
    first = min(t for t, _ in samples) - size - every
    start = first - (first - offset) % every
    looks = []
    while start <= samples[-1][0]:
        held = [s for s in samples if start <= s[0] < start + size]
        if held:
            looks.append((start + size, held, start + size))
        start += every
    return looks


def session_twin(samples, gap, longest):
    looks, held = [], []
    for sample in samples:
        if held and (sample[0] - held[-1][0] >= gap or sample[0] - held[0][0] >= longest):
            looks.append(held)
            held = []
        held.append(sample)
    return [(min(h[-1][0] + gap, h[0][0] + longest), h, h[-1][0]) for h in [*looks, held]]


def count_twin(samples, count, every):
    ends = range(every, len(samples) + 1, every)
    return [(samples[e - 1][0], samples[max(0, e - count) : e], samples[e - 1][0]) for e in ends]


TWINS = {
    "sliding": lambda s: sliding_twin(s, SIZE),
    "tumbling": lambda s: aligned_twin(s, SIZE, SIZE, 7_000),
    "hopping": lambda s: aligned_twin(s, SIZE, 25_000, 3_000),
    "sparse hopping": lambda s: aligned_twin(s, 20_000, 45_000, 0),
    "session": lambda s: session_twin(s, 9_000, 70_000),
    "count": lambda s: count_twin(s, 7, 3),
}


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_window_agrees_with_its_definition(kind, function):
    plan = WindowPlan(SPECS[kind], [spec_of(function)])
    samples = history(f"{kind} {function}", function)
    looks = look(plan.open(), plan, samples)
    plain = [(t, values[0]) for t, values in samples]
    wanted = TWINS[kind](plain)
    assert [moment for moment, _ in looks] == [moment for moment, _, _ in wanted]
    for (_, results), (_, held, now_ms) in zip(looks, wanted, strict=True):
        assert agree(function, results["x"], expected(function, held, now_ms))


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("function", ["avg", "stddev", "median", "max", "distinct"])
def test_an_unpacked_window_continues_bit_for_bit(kind, function):
    plan = WindowPlan(SPECS[kind], [spec_of(function), spec_of("count", "n")])
    samples = [(t, [v[0], 1]) for t, v in history(f"{kind} cut", function, 120)]
    whole = look(plan.open(), plan, samples)
    window, cut = plan.open(), []
    for time_ms, values in samples:
        cut += fire_until(window, time_ms)
        twin = plan.open()
        twin.unpack(window.pack())
        assert twin.due_ms == window.due_ms
        window, results = twin, {}
        if window.add(time_ms, values, results):
            cut.append((time_ms, results))
    assert repr(cut + fire_until(window, NEVER - 1)) == repr(whole)


@given(st.lists(st.integers(-5, 25), min_size=1, max_size=40).map(sorted))
@settings(max_examples=150, deadline=None)
def test_a_sliding_window_is_open_on_the_left_and_closed_on_the_right(times):
    plan = WindowPlan(WindowSpec("sliding", size_ms=10), [spec_of("count")])
    samples = [(t, [1]) for t in times]
    looks = [(moment, results["x"]) for moment, results in look(plan.open(), plan, samples)]
    plain = [(t, 1) for t in times]
    assert looks == [(moment, len(held)) for moment, held, _ in sliding_twin(plain, 10)]


@pytest.mark.parametrize(
    ("kind", "samples", "moments"),
    [
        ("tumbling", [7_000, 66_999], [67_000]),
        ("tumbling", [66_999, 67_000], [67_000, 127_000]),
        ("session", [0, 8_999], [17_999]),
        ("session", [0, 9_000], [9_000, 18_000]),
        ("sliding", [0, 60_000], [0, 60_000, 120_000]),
        ("sliding", [0, 59_999], [0, 59_999, 60_000, 119_999]),
    ],
)
def test_a_sample_on_an_edge_belongs_where_the_language_says(kind, samples, moments):
    plan = WindowPlan(SPECS[kind], [spec_of("count")])
    looks = look(plan.open(), plan, [(t, [1]) for t in samples])
    assert [moment for moment, _ in looks] == moments


def test_below_min_samples_an_aggregate_is_unknown():
    plan = WindowPlan(
        WindowSpec("sliding", size_ms=10, min_samples=2), [spec_of("avg"), spec_of("count", "n")]
    )
    looks = look(plan.open(), plan, [(0, [4, 1]), (1, [6, 1])])
    assert [results["x"] for _, results in looks] == [UNKNOWN, 5, UNKNOWN, UNKNOWN]
    assert [results["n"] for _, results in looks] == [UNKNOWN, 2, UNKNOWN, UNKNOWN]


def test_a_count_of_an_empty_window_is_none_and_not_unknown():
    plan = WindowPlan(WindowSpec("sliding", size_ms=10), [spec_of("count"), spec_of("avg", "m")])
    looks = look(plan.open(), plan, [(0, [1, 1])])
    assert looks[-1] == (10, {"x": 0, "m": UNKNOWN})


def test_what_is_no_sample_to_one_aggregate_still_counts_for_another():
    plan = WindowPlan(
        WindowSpec("tumbling", size_ms=10),
        [AggregateSpec("m", "avg"), AggregateSpec("n", "count")],
    )
    looks = look(plan.open(), plan, [(0, [UNKNOWN, 1]), (1, [6, 1]), (2, ["hot", 1])])
    assert looks == [(10, {"m": 6, "n": 3})]


def test_what_is_a_sample_to_no_aggregate_opens_no_window():
    plan = WindowPlan(WindowSpec("tumbling", size_ms=10), [spec_of("avg")])
    assert look(plan.open(), plan, [(0, [UNKNOWN]), (5, [None])]) == []


def test_a_full_window_lets_its_oldest_sample_go():
    plan = WindowPlan(WindowSpec("sliding", size_ms=1_000), [spec_of("sum")], 3)
    window, results = plan.open(), {}
    for time_ms in range(5):
        window.add(time_ms, [10**time_ms], results)
    assert results["x"] == 11_100
    assert plan.cut_samples == 2


@pytest.mark.parametrize("every", [10_000, 4_000])
def test_one_millisecond_turns_our_edges_into_those_of_stream_analytics(every):
    """Azure Stream Analytics: `(start, end]`, told at the end. Here: `[start, end)`, at the end."""
    size, rng = 10_000, random.Random(every)
    times = sorted(
        rng.choice([0, 1, 9_999, 10_000]) + rng.randint(0, 20) * 2_000 for _ in range(80)
    )
    times = [100_000 + time_ms for time_ms in times]
    kind = "tumbling" if every == size else "hopping"
    plan = WindowPlan(WindowSpec(kind, size, every), [AggregateSpec("n", "count")])
    looks = look(plan.open(), plan, [(time_ms - 1, [True]) for time_ms in times])
    ends = range(size % every, 200_000, every)
    wanted = {end: sum(end - size < time_ms <= end for time_ms in times) for end in ends}
    assert {moment: results["n"] for moment, results in looks} == {
        end: count for end, count in wanted.items() if count
    }


@pytest.mark.parametrize("kind", ["tumbling", "hopping"])
def test_a_window_of_days_holds_what_its_calendar_says(kind):
    zone, day_ms = ZoneInfo("Europe/Kyiv"), 86_400_000
    spec = WindowSpec(kind, size_ms=day_ms, every_ms=day_ms, timezone="Europe/Kyiv")
    plan = WindowPlan(spec, [AggregateSpec("n", "count")])
    # Hour by hour over both changes of the clocks.
    starts = [int(datetime(2026, month, 23, tzinfo=UTC).timestamp()) * 1_000 for month in (3, 10)]
    hours = [start + hour * 3_600_000 for start in starts for hour in range(24 * 9)]
    looks = look(plan.open(), plan, [(time_ms, [True]) for time_ms in hours])
    dates = [datetime.fromtimestamp(time_ms / 1_000, zone).date() for time_ms in hours]
    assert [results["n"] for _, results in looks] == list(Counter(dates).values())
    ends = [datetime.fromtimestamp(moment_ms / 1_000, zone) for moment_ms, _ in looks]
    assert {(end.hour, end.minute) for end in ends} == {(0, 0)}


def test_the_last_value_is_held_at_even_steps_for_no_longer_than_the_window():
    plan = WindowPlan(WindowSpec("hopping", 15_000, 5_000), [AggregateSpec("x", "last")])
    looks = look(plan.open(), plan, [(1_000, [7]), (2_000, [8]), (31_000, [9])])
    assert [(moment_ms, results["x"]) for moment_ms, results in looks] == [
        (5_000, 8), (10_000, 8), (15_000, 8),
        (35_000, 9), (40_000, 9), (45_000, 9),
    ]  # fmt: skip
