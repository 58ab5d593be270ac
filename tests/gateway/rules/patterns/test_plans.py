from gateway.rules.patterns.absences import AbsencePlan
from gateway.rules.patterns.plans import pattern_of, sources_read, step_conditions, watched_lookup
from tests.harness.rule_files import load_one

STEPS = """
- id: a
  from: [x, y]
  sequence:
    within: 1m
    steps:
      - {id: p, when: payload.p, from: z}
      - {not: payload.n}
      - all_of: [{id: q, when: payload.q, from: y}, {id: r, when: payload.r}]
      - {id: s, when: payload.s, times: 3, until: payload.u}
"""


def test_a_rule_reads_the_sources_of_its_steps_too():
    assert [source.name for source in sources_read(load_one(STEPS))] == ["x", "y", "z"]


def test_the_conditions_of_all_steps_are_found():
    found = {expression.text for expression in step_conditions(load_one(STEPS))}
    assert found == {f"payload.{name}" for name in "pnqrsu"}


def test_an_absence_and_a_condition_are_told_apart():
    absent = load_one("- {id: a, from: t, absent: {for: 5m}}")
    assert isinstance(pattern_of(absent), AbsencePlan)
    assert watched_lookup(absent) is None
    assert pattern_of(load_one("- {id: a, from: t, when: payload.x}")) is None
