from __future__ import annotations

import pytest

from gateway.rules.reasons import Reason, look_up, show, spell_duration
from gateway.rules.values import UNKNOWN
from tests.harness.rule_runs import rules_of


def reason(when, *, is_negated=False):
    (rule,) = rules_of(f"- {{id: r, from: a, key: device, when: '{when}'}}")
    return Reason(rule.condition.when, is_negated=is_negated)


SCOPE = {"payload": {"t": 81.25, "mode": "cool", "list": [1, 2]}, "topic": "a/b"}


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("payload.t > 80", "payload.t > 80: payload.t = 81.25"),
        (
            'payload.t > 80 && payload.mode == "payload.x"',
            'payload.t > 80 && payload.mode == "payload.x": payload.t = 81.25, '
            'payload.mode = "cool"',
        ),
        (
            "payload.list[1] > payload.none",
            "payload.list[1] > payload.none: payload.list[1] = 2, payload.none = unknown",
        ),
        ("size(topic) > 2", 'size(topic) > 2: topic = "a/b"'),
        ("1 < 2", "1 < 2"),
    ],
)
def test_a_reason_names_the_condition_and_the_values_it_read(when, told):
    assert reason(when).tell(SCOPE) == told


def test_a_negated_reason_says_that_it_is_false_and_for_how_long():
    told = reason("payload.t > 80", is_negated=True).tell({"payload": {"t": 9}}, 90_000)
    assert told == "payload.t > 80 is false for 1m30s: payload.t = 9"


def test_what_a_condition_remembers_is_told_by_its_call():
    scope = {"payload": {"t": 1}, "changed(payload.t)": True}
    told = reason("changed(payload.t)").tell(scope)
    assert told == "changed(payload.t): changed(payload.t) = true, payload.t = 1"


@pytest.mark.parametrize(
    ("path", "value"), [("payload.list[5]", UNKNOWN), ("payload.t.x", UNKNOWN), ("nobody", UNKNOWN)]
)
def test_a_path_that_leads_nowhere_is_unknown(path, value):
    assert look_up(SCOPE, path) is value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1 + 0.2, "0.3"),
        (5, "5"),
        ("x" * 100, '"' + "x" * 62 + "…"),
        (1 << 70, "?"),
        (None, "null"),
    ],
)
def test_values_are_shown_short(value, shown):
    assert show(value) == shown


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0s"), (1, "1ms"), (90_061_001, "1d1h1m1s1ms"), (600_000, "10m")]
)
def test_durations_are_spelt_as_in_rule_files(ms, text):
    assert spell_duration(ms) == text
