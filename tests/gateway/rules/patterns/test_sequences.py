from __future__ import annotations

import pytest

from gateway.rules.patterns.plans import pattern_of
from tests.harness.rule_files import load_one


def plan_of(steps, options="within: 1m"):
    return pattern_of(
        load_one(f"- {{id: r, from: [x, y], sequence: {{{options}, steps: [{steps}]}}}}")
    )


@pytest.mark.parametrize(
    ("steps", "is_linear"),
    [
        ("{when: payload.a}, {when: payload.b}", True),
        ("{when: payload.a, contiguity: strict}, {when: payload.b}, {when: payload.c}", True),
        ("{when: payload.a}, {when: payload.b, contiguity: strict}", False),
        ("{when: payload.a}, {when: payload.b, contiguity: any}", False),
        ("{id: a, when: payload.a}, {when: payload.b == a.payload.b}", False),
        ("{when: payload.a}, {when: payload.b, times: 2}", False),
        ("{when: payload.a}, {when: payload.b, within: 5s}", False),
        ("{when: payload.a}, {not: payload.n}, {when: payload.b}", False),
        ("{when: payload.a}, {when: payload.b, from: z}", False),
    ],
)
def test_plain_steps_in_a_row_are_linear(steps, is_linear):
    assert plan_of(steps).is_linear is is_linear


def test_what_an_event_decides_alone_is_computed_with_it():
    plan = plan_of("{id: a, when: payload.a}, {id: b, when: payload.b == a.payload.b}")
    assert [sample.text for sample in plan.samples] == ["payload.a"]
    assert plan.reads_steps


def test_a_step_reads_the_rules_sources_or_its_own():
    plan = plan_of("{when: payload.a}, {when: payload.b, from: z/#}")
    groups = [step.parts[0].test.group for step in plan.steps]
    assert [plan.allowed("x")[group] for group in groups] == [True, False]
    assert [plan.allowed("z/1")[group] for group in groups] == [False, True]


def test_only_a_silence_or_told_timeouts_need_timers():
    plain = "{when: payload.a}, {when: payload.b}"
    assert not plan_of(plain).has_timers
    assert plan_of(plain, "within: 1m, on_timeout: emit").has_timers
    assert plan_of("{when: payload.a}, {not: payload.b}").has_timers
