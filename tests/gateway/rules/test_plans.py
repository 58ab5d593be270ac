from __future__ import annotations

import pytest

from gateway.rules.plans import Layout, RulePlan, lane_name
from tests.harness.rule_runs import rules_of


def plan(parts):
    (rule,) = rules_of(f"- {{id: r, from: a, key: device, {parts}}}")
    return RulePlan(rule, 0)


@pytest.mark.parametrize(
    ("parts", "is_plain", "is_ready"),
    [
        ("when: payload.x > 1", True, True),
        ("when: payload.x > 1, where: topic == 'a'", True, True),
        ("when: ts > 1", False, False),
        ("when: payload.x > prev.payload.x", False, False),
        ("when: changed(payload.x)", False, False),
        ("let: {y: payload.x}, when: y > 1", False, False),
        ("window: {sliding: 1m}, aggregate: {n: count()}, when: n > 1", False, True),
    ],
)
def test_a_rule_is_plain_when_each_event_alone_decides_it(parts, is_plain, is_ready):
    found = plan(parts)
    assert (found.is_plain, found.is_ready) == (is_plain, is_ready)


@pytest.mark.parametrize(
    ("parts", "needs_last"),
    [
        ("when: payload.x > 1", False),
        ("when: payload.x > 1, for: 1m", True),
        ("when: payload.x > prev.payload.x", True),
        ("window: {sliding: 1m}, aggregate: {n: sum(payload.x)}, when: n > 1", False),
        (
            "window: {sliding: 1m}, aggregate: {n: sum(payload.x)}, when: n > 1, "
            'alarm: {message: "{device} {n}"}',
            False,
        ),
        (
            "window: {sliding: 1m}, aggregate: {n: sum(payload.x)}, when: n > 1, "
            'alarm: {message: "{payload.x}"}',
            True,
        ),
    ],
)
def test_the_last_event_is_kept_only_where_it_can_be_asked_for_later(parts, needs_last):
    assert plan(parts).needs_last is needs_last


def test_a_layout_places_the_values_of_every_rule():
    rules = rules_of(
        """
- {id: a, from: x, key: device, where: payload.w, when: payload.a > 1, clear: payload.a < 0}
- id: b
  from: x
  key: device
  window: {sliding: 1m}
  aggregate: {n: count(), m: avg(payload.b)}
  when: n > 1
- id: c
  from: x
  key: device
  when: payload.c > 1
  alarm: {levels: [{severity: major, when: payload.c > 2}]}
"""
    )
    plans = [RulePlan(rule, index) for index, rule in enumerate(rules)]
    layout = Layout(None, plans)
    texts = [expression.text for expression in layout.expressions]
    a, b, c = (plan.place for plan in plans)
    plain = texts[layout.shape[layout.plain]]
    assert [plain[i] for i in (a.where, a.when, a.clear)] == [
        "payload.w",
        "payload.a > 1",
        "payload.a < 0",
    ]
    assert texts[layout.shape[b.samples]] == ["true", "payload.b"]
    assert (plain[c.when], plain[c.levels]) == ("payload.c > 1", ["payload.c > 2"])
    assert layout.owners == [0, 0, 0, 1, 1]


def test_a_layout_puts_what_a_rule_with_a_window_reads_apart():
    rules = rules_of(
        """
- id: a
  from: x
  key: device
  where: payload.w
  window: {sliding: 1m}
  aggregate: {m: avg(payload.a)}
  when: m > 1
- {id: b, from: x, key: device, when: payload.b > 1}
"""
    )
    plans = [RulePlan(rule, index) for index, rule in enumerate(rules)]
    values = Layout(None, plans).fused()({"payload": {"w": True, "a": 2, "b": 3}})
    assert values == ((True,), True, (2,))
    assert (values[plans[0].place.where], values[plans[0].place.samples]) == (True, (2,))


def test_rules_share_a_lane_when_source_key_time_and_bounds_are_equal():
    texts = [
        "from: a, key: device",
        "from: a, key: device, when: payload.y > 2",
        "from: b, key: device",
        "from: a, key: topic",
        "from: a, key: device, time: {by: event, field: payload.ts}",
        "from: a, key: device, state: {max_keys: 5}",
    ]
    lines = [
        f"- {{id: r{n}, {text}{'' if 'when' in text else ', when: payload.x > 1'}}}"
        for n, text in enumerate(texts)
    ]
    names = [lane_name(rule) for rule in rules_of("\n".join(lines))]
    assert names[0] == names[1]
    assert len(set(names)) == 5
