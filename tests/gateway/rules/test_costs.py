from gateway.rules.costs import SAMPLES_MAX, cost_of
from gateway.rules.windows import SAMPLES_MAX as SAMPLES_OF_THE_ENGINE
from tests.harness.rule_files import load_one


def test_the_bound_on_samples_is_the_engines():
    assert SAMPLES_MAX == SAMPLES_OF_THE_ENGINE


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
