import gc
import tracemalloc

import pytest

from gateway.rules import Engine
from gateway.rules.costs import cost_of
from gateway.rules.spec import StateSpec
from gateway.rules.windows import SAMPLES_MAX
from tests.harness.rule_files import load_one
from tests.harness.rule_runs import Tape, rules_of


def test_the_bound_on_samples_is_what_the_rule_says():
    rule = (
        "- {id: a, from: t, state: {max_samples: 50}, window: {sliding: 1h}, "
        "aggregate: {x: avg(payload.x)}, when: x > 1}"
    )
    assert cost_of(load_one(rule)).samples_max == 50
    assert StateSpec().max_samples == SAMPLES_MAX


@pytest.mark.parametrize(
    "aggregates", ["x: avg(payload.x)", "x: sum(payload.x)", "x: sum(payload.x), y: max(payload.x)"]
)
def test_a_window_that_is_full_lets_its_oldest_sample_go_and_counts_it(aggregates):
    rule = load_one(
        "- {id: a, from: t, state: {max_samples: 3}, window: {sliding: 1h}, "
        f"aggregate: {{{aggregates}}}, when: x > 100}}"
    )
    engine, tape = Engine([rule]), Tape()
    for number in range(5):
        engine.feed(tape.event({"x": number}, topic="t", arrival=number + 1))
    assert engine.counters["a"].cut_samples == 2


@pytest.mark.parametrize(
    ("window", "aggregates"),
    [
        ("{sliding: 1h}", "x: avg(payload.x)"),
        ("{sliding: 1h}", "x: sum(payload.x)"),
        ("{sliding: 1h}", "x: sum(payload.x), y: max(payload.x)"),
        ("{hopping: 1h, every: 1m}", "x: sum(payload.x)"),
        ("{tumbling: 1h, allowed_lateness: 1s}", "x: sum(payload.x)"),
        ("{count: 50}", "x: sum(payload.x)"),
    ],
)
def test_the_windows_of_all_keys_hold_no_more_together_than_the_rule_says(window, aggregates):
    (rule,) = rules_of(
        "- {id: a, from: t, key: device, state: {max_keys: 4, max_samples_total: 20}, "
        f"window: {window}, aggregate: {{{aggregates}}}, when: x > 100000}}"
    )
    engine, tape = Engine([rule]), Tape()
    for number in range(100):
        place = 4 if number > 80 and number % 4 == 0 else number % 4
        engine.feed(tape.event({"x": number}, topic="t", device=f"d{place}", arrival=number))
    (plan,) = engine.lanes[0].plans
    windows = [line.tracks[0].window for line in engine.lanes[0].timelines.values()]
    held = [len(samples_of(window)) for window in windows]
    assert sum(held) == plan.window.held <= 20
    assert len(held) == 4
    assert min(held) >= 1
    assert engine.counters["a"].forgotten_keys == 1
    assert engine.counters["a"].cut_samples > 0


def samples_of(window):
    """The samples of a window, as it would be saved."""
    *_, (_, _, times, _) = window.pack()
    return times


def test_what_a_restored_window_holds_counts_too():
    (rule,) = rules_of(
        "- {id: a, from: t, key: device, window: {sliding: 5ms}, "
        "aggregate: {x: avg(payload.x)}, when: x > 100000}"
    )
    engine, tape = Engine([rule]), Tape()
    for number in range(100):
        engine.feed(tape.event({"x": number}, topic="t", device=f"d{number % 3}", arrival=number))
    again = Engine([rule])
    again.restore(sorted((name, value) for name, value in engine.snapshot() if value is not None))
    counts = [one.lanes[0].plans[0].window.held for one in (engine, again)]
    assert counts == [6, 6]


def test_the_bound_of_a_sliding_window_is_that_of_all_its_samples():
    rule = "- {id: a, from: t, window: {sliding: 1h}, aggregate: {x: avg(payload.x)}, when: x > 1}"
    cost = cost_of(load_one(rule))
    assert cost.bytes_max < 1 << 30
    assert cost.bytes_max > cost.keys_max * cost.key_bytes + 2_000_000 * cost.sample_bytes


def test_a_sliding_window_pays_for_its_samples_and_a_growing_one_does_not():
    rule = "- {{id: a, from: t, window: {{{}: 5m}}, aggregate: {{x: avg(payload.x)}}, when: x > 1}}"
    sliding, tumbling = (cost_of(load_one(rule.format(kind))) for kind in ("sliding", "tumbling"))
    assert sliding.samples_at_1_hz == 300
    assert sliding.key_bytes_at_1_hz > tumbling.key_bytes_at_1_hz
    assert tumbling.samples_max == 0


def test_a_median_keeps_its_samples_in_any_window():
    rule = (
        "- {id: a, from: t, window: {tumbling: 1m}, aggregate: {x: median(payload.x)}, when: x > 1}"
    )
    assert cost_of(load_one(rule)).samples_at_1_hz == 60


def test_a_count_window_is_bounded_by_its_count():
    rule = "- {id: a, from: t, window: {count: 20}, aggregate: {x: avg(payload.x)}, when: x > 1}"
    assert cost_of(load_one(rule)).samples_max == 20


def test_sequences_and_anomalies_pay_for_what_they_remember():
    plain = load_one("- {id: a, from: t, when: true}")
    sequence = load_one(
        "- {id: a, from: t, sequence: {within: 1m, steps: [{when: true}, {when: true}]}}"
    )
    anomaly = load_one("- {id: a, from: t, anomaly: {value: payload.x, method: zscore}}")
    assert cost_of(sequence).key_bytes > cost_of(plain).key_bytes
    assert cost_of(anomaly).key_bytes > cost_of(plain).key_bytes


def test_one_state_for_all_events_is_one_key():
    rule = "- {id: a, from: t, key: [], when: payload.x > 1}"
    assert cost_of(load_one(rule)).keys_max == 1


def measured_key_bytes(rule, keys=40, seconds=60):
    """What a running engine takes for a key that sends one event a second."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        engine = Engine([rule])
        for second in range(seconds):
            arrival = 1_767_225_600_000 + second * 1_000
            tape = Tape()
            for key in range(keys):
                payload = {"x": float((second * 7 + key) % 5)}
                tape.event(payload, topic="t", device=f"d{key}", arrival=arrival)
            engine.feed(tape.batches)
        del tape, payload
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / keys
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "body",
    [
        "when: payload.x > 5, for: 10s, alarm: {message: '{payload.x}'}",
        "let: {a: payload.x + 1, b: changed(payload.x)}, when: b && prev.payload.x > a",
        "window: {tumbling: 1h}, aggregate: {a: avg(payload.x), b: max(payload.x)}, when: a > 5",
        "window: {sliding: 1m}, aggregate: {a: avg(payload.x), b: slope(payload.x)}, when: a > 5",
        "window: {sliding: 1m}, aggregate: {a: avg(payload.x)}, when: a > 5",
        "window: {count: 50}, aggregate: {a: median(payload.x)}, when: a > 5",
        "absent: {for: 5m}",
        "sequence: {within: 1h, steps: [{when: payload.x < 9}, {when: payload.x > 99}]}",
        "sequence: {within: 1h, steps: [{id: b, when: payload.x < 9, times: {min: 2}, contiguity: "
        "any}, {when: payload.x > b.sum.payload.x + 99}]}",
    ],
)
def test_a_running_engine_stays_within_the_estimate(body):
    rule = load_one(f"- {{id: a, from: t, {body}}}")
    assert measured_key_bytes(rule) <= cost_of(rule).key_bytes_at_1_hz


@pytest.mark.parametrize("window", ["{tumbling: 1h}", "{sliding: 1h}"])
def test_the_bound_of_a_top_is_no_less_than_what_it_takes(window):
    rule = load_one(
        f"- {{id: a, from: t, key: [], window: {window}, "
        "aggregate: {x: 'topk(payload.by, payload.x, 100)'}, when: size(x) > 1000}"
    )
    engine, tape = Engine([rule]), Tape()
    engine.feed(tape.event({"by": "first", "x": 0}, topic="t", arrival=1))
    gc.collect()
    tracemalloc.start()
    for number in range(2_000):
        tape.batches.clear()
        engine.feed(tape.event({"by": f"n{number}", "x": number}, topic="t", arrival=number + 1))
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    cost = cost_of(rule)
    assert taken <= cost.key_bytes + cost.sample_bytes * min(2_000, cost.samples_max or 0)


@pytest.mark.parametrize(
    "method", ["zscore", "level_shift", "spike", "change_point", "rate", "stuck"]
)
def test_the_bound_of_an_anomaly_is_no_less_than_what_it_takes(method):
    rule = load_one(
        "- {id: a, from: t, key: [], "
        f"anomaly: {{value: payload.x, method: {method}, history: 2000}}}}"
    )
    engine, tape = Engine([rule]), Tape()
    engine.feed(tape.event({"x": 0}, topic="t", arrival=1))
    gc.collect()
    tracemalloc.start()
    for number in range(4_500):
        tape.batches.clear()
        engine.feed(tape.event({"x": number % 977}, topic="t", arrival=number + 1))
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken <= cost_of(rule).key_bytes
