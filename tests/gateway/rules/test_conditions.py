from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from gateway.rules.conditions import Condition, ConditionPlan, Phase
from gateway.rules.spec import AlarmSpec, ConditionSpec, LevelSpec, RuleSpec
from gateway.rules.values import UNKNOWN

T, F, U = True, False, UNKNOWN
ANY = SimpleNamespace(text="any")


def condition(*, alarm=None, arm="level", **fields):
    spec = ConditionSpec(when=ANY, **fields)
    rule = RuleSpec(id="r", sources=(), key=(), condition=spec, alarm=alarm, arm=arm)
    return Condition(ConditionPlan(rule, spec))


def run(subject, *looks, until=0):
    """Feed looks (time, when[, clear[, levels]]); lists what changed as (event, time)."""
    return [(change.event, change.time_ms) for change in changes(subject, *looks, until=until)]


def changes(subject, *looks, until=0):
    found = []
    for time_ms, when, *rest in looks:
        found += fire_until(subject, time_ms)
        clear, levels = (*rest, U, ())[0], (*rest, U, ())[1] if len(rest) > 1 else ()
        found.append(subject.evaluate(time_ms, when, clear, levels))
    found += fire_until(subject, until)
    return [change for change in found if change]


def fire_until(subject, limit_ms):
    found = []
    while subject.due_ms <= limit_ms:
        found.append(subject.fire())
    return found


def test_without_for_it_rises_at_once_and_only_once():
    looks = [(1, F), (2, T), (3, T), (4, F), (5, T)]
    assert run(condition(), *looks) == [("raised", 2), ("cleared", 4), ("raised", 5)]


def test_a_condition_that_is_true_at_first_rises():
    assert run(condition(), (1, T)) == [("raised", 1)]


def test_armed_by_a_crossing_it_must_have_been_false_first():
    assert run(condition(arm="crossing"), (1, T), (2, U), (3, T)) == []
    assert run(condition(arm="crossing"), (1, T), (2, F), (3, T)) == [("raised", 3)]


def test_unknown_neither_raises_nor_clears_nor_arms_again():
    assert run(condition(), (1, U), (2, T), (3, U), (4, T), (5, U)) == [("raised", 2)]


def test_each_alarm_of_a_key_has_its_own_number():
    assert [c.n for c in changes(condition(), (1, T), (2, F), (3, T))] == [1, 1, 2]


def test_with_for_it_rises_when_the_watermark_has_passed_the_span():
    assert run(condition(for_ms=10), (5, T), (9, T), until=14) == []
    assert run(condition(for_ms=10), (5, T), (9, T), until=15) == [("raised", 15)]


def test_the_alarm_remembers_when_its_condition_began():
    (change,) = changes(condition(for_ms=10), (5, T), (9, T), until=20)
    assert (change.since_ms, change.time_ms) == (5, 15)


def test_a_false_event_before_the_end_of_for_starts_it_again():
    looks = [(0, T), (9, F), (10, T), (19, T)]
    assert run(condition(for_ms=10), *looks, until=19) == []
    assert run(condition(for_ms=10), *looks, until=20) == [("raised", 20)]


def test_a_false_event_at_the_very_end_of_for_comes_too_late():
    assert run(condition(for_ms=10), (0, T), (10, F)) == [("raised", 10), ("cleared", 10)]


@pytest.mark.parametrize(
    ("policy", "expected"), [("hold", [("raised", 10)]), ("reset", []), ("false", [])]
)
def test_unknown_while_pending_follows_its_policy(policy, expected):
    subject = condition(for_ms=10, on_unknown=policy)
    assert run(subject, (0, T), (5, U), (8, T), until=12) == expected


def test_unknown_as_false_clears():
    assert run(condition(on_unknown="false"), (0, T), (5, U)) == [("raised", 0), ("cleared", 5)]


def test_unknown_resets_a_clearing_alarm_to_raised():
    subject = condition(clear_for_ms=10, on_unknown="reset")
    assert run(subject, (0, T), (5, F), (6, U), until=50) == [("raised", 0)]
    assert subject.phase is Phase.RAISED


def test_a_gap_that_is_too_long_ends_a_pending_condition():
    subject = condition(for_ms=100, max_gap_ms=10)
    assert run(subject, (0, T), (10, T), (21, T), until=110) == []
    subject = condition(for_ms=20, max_gap_ms=10)
    assert run(subject, (0, T), (10, T), until=50) == [("raised", 20)]


def test_after_a_gap_the_condition_begins_anew():
    looks = [(0, T), (11, T), (21, T), (31, T)]
    (change,) = changes(condition(for_ms=20, max_gap_ms=10), *looks)
    assert (change.since_ms, change.time_ms) == (11, 31)


def test_clear_for_clears_when_the_span_has_passed():
    looks = [(0, T), (5, F), (9, F)]
    assert run(condition(clear_for_ms=10), *looks, until=15) == [("raised", 0), ("cleared", 15)]


def test_a_clearing_alarm_that_returns_is_the_same_alarm():
    subject = condition(clear_for_ms=10)
    found = changes(subject, (0, T), (5, F), (9, T), (20, F), (30, F))
    assert [(c.event, c.time_ms, c.n) for c in found] == [("raised", 0, 1), ("cleared", 30, 1)]


def test_an_own_clear_makes_hysteresis():
    subject = condition(clear=ANY)
    looks = [(1, T, F), (2, F, F), (3, F, U), (4, F, T), (5, F, F)]
    assert run(subject, *looks) == [("raised", 1), ("cleared", 4)]


def test_repeat_counts_the_true_looks_of_a_span():
    subject = condition(repeat_times=3, repeat_within_ms=10)
    looks = [(0, T), (5, F), (8, T), (10, T), (11, F)]
    assert run(subject, *looks) == []
    subject = condition(repeat_times=3, repeat_within_ms=10)
    found = changes(subject, (0, T), (5, F), (8, T), (9, T), (11, F))
    assert [(c.event, c.time_ms, c.since_ms) for c in found] == [
        ("raised", 9, 0),
        ("cleared", 11, 0),
    ]


def test_repeat_with_for_counts_spans_that_held():
    subject = condition(for_ms=2, repeat_times=2, repeat_within_ms=100)
    looks = [(0, T), (9, F), (10, T), (11, F), (20, T), (30, F)]
    assert run(subject, *looks) == [("raised", 22), ("cleared", 30)]


LEVELS = AlarmSpec(
    severity="info",
    levels=(
        LevelSpec("critical", ANY, for_ms=5),
        LevelSpec("warning", ANY),
        LevelSpec("major", ANY),
    ),
)


def test_the_highest_level_that_holds_is_the_severity():
    subject = condition(alarm=LEVELS)
    found = changes(
        subject,
        (1, T, U, (F, T, F)),
        (2, T, U, (F, T, T)),
        (3, T, U, (F, F, F)),
        (4, F, U, (F, F, F)),
    )
    assert [(c.event, c.severity) for c in found] == [
        ("raised", "warning"),
        ("changed", "major"),
        ("changed", "info"),
        ("cleared", "info"),
    ]


def test_a_level_with_for_changes_the_severity_by_time_alone():
    subject = condition(alarm=LEVELS)
    found = changes(subject, (1, T, U, (T, T, F)), (3, T, U, (U, T, F)), until=10)
    assert [(c.event, c.time_ms, c.severity) for c in found] == [
        ("raised", 1, "warning"),
        ("changed", 6, "critical"),
    ]


def test_auto_clear_clears_after_the_last_true_look():
    subject = condition(alarm=AlarmSpec(auto_clear_ms=10))
    found = changes(subject, (0, T), (5, T), (7, U), until=100)
    assert [(c.event, c.time_ms, c.cause) for c in found] == [
        ("raised", 0, "when"),
        ("cleared", 15, "auto_clear"),
    ]


def test_auto_clear_never_clears_before_it_was_raised():
    subject = condition(for_ms=20, alarm=AlarmSpec(auto_clear_ms=5))
    assert run(subject, (0, T), until=50) == [("raised", 20), ("cleared", 20)]


def test_only_an_alarm_that_is_up_is_cleared_when_its_key_is_forgotten():
    subject = condition()
    assert subject.abandon(5) is None
    run(subject, (6, T))
    assert subject.abandon(7).cause == "max_keys"


PLANS = [
    {},
    {"for_ms": 7},
    {"for_ms": 9, "max_gap_ms": 3},
    {"clear_for_ms": 6, "on_unknown": "reset"},
    {"clear": ANY, "clear_for_ms": 4, "for_ms": 5, "on_unknown": "false"},
    {"repeat_times": 3, "repeat_within_ms": 20},
    {"repeat_times": 2, "repeat_within_ms": 30, "for_ms": 3},
    {"alarm": AlarmSpec(auto_clear_ms=8)},
    {"alarm": LEVELS, "clear": ANY},
    {"arm": "crossing"},
]


def random_looks(seed, length=400):
    rng, now_ms, looks = random.Random(seed), 0, []
    values = [T, F, U]
    for _ in range(length):
        now_ms += rng.choice([0, 1, 1, 2, 3, 9])
        if not looks or rng.random() < 0.6:
            values = rng.choices([T, F, U], k=5)
        looks.append((now_ms, values[0], values[1], tuple(values[2:])))
    return looks


@pytest.mark.parametrize("fields", PLANS)
def test_a_settled_condition_may_skip_looks_that_are_the_same(fields):
    """The fast path rests on this: equal values and a settled condition mean nothing to do."""
    every, skipping = condition(**fields), condition(**fields)
    looks, before = random_looks(str(fields)), None
    levels = bool(every.plan.levels)
    found, found_skipping = [], []
    for time_ms, when, clear, grades in looks:
        grades = grades if levels else ()
        found += [*fire_until(every, time_ms), every.evaluate(time_ms, when, clear, grades)]
        fired = fire_until(skipping, time_ms)
        found_skipping += fired
        if before == (when, clear, grades) and skipping.is_settled(when, clear) and not fired:
            continue
        found_skipping.append(skipping.evaluate(time_ms, when, clear, grades))
        before = (when, clear, grades)
    assert [c for c in found if c] == [c for c in found_skipping if c]


@pytest.mark.parametrize("fields", PLANS)
def test_an_unpacked_condition_continues_as_if_nothing_had_happened(fields):
    whole, cut = condition(**fields), condition(**fields)
    levels = bool(whole.plan.levels)
    for time_ms, when, clear, grades in random_looks("cut" + str(fields)):
        grades = grades if levels else ()
        twin = condition(**fields)
        twin.unpack(cut.pack())
        cut = twin
        assert cut.due_ms == whole.due_ms
        assert fire_until(cut, time_ms) == fire_until(whole, time_ms)
        assert cut.evaluate(time_ms, when, clear, grades) == whole.evaluate(
            time_ms, when, clear, grades
        )
        assert cut.is_blank == whole.is_blank
