import pytest

from tests.harness.rule_files import complaints, load_one


def test_a_condition_has_a_life():
    rule = load_one(
        """
        - id: a
          from: t
          when: payload.x > 80
          for: 10m
          max_gap: 2m
          clear: payload.x < 75
          clear_for: 1m
          repeat: {times: 3, within: 1h}
          on_unknown: reset
        """
    )
    condition = rule.condition
    assert (condition.for_ms, condition.max_gap_ms, condition.clear_for_ms) == (
        600_000,
        120_000,
        60_000,
    )
    assert (condition.repeat_times, condition.repeat_within_ms) == (3, 3_600_000)
    assert (condition.when.text, condition.clear.text) == ("payload.x > 80", "payload.x < 75")
    assert condition.on_unknown == "reset"


def test_a_bare_condition_needs_nothing_else():
    condition = load_one("- {id: a, from: t, when: payload.x}").condition
    assert (condition.for_ms, condition.max_gap_ms, condition.repeat_times) == (0, None, 1)
    assert condition.clear is None


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("for: 5m, emit: {stream: s}", "1:20: 'for' needs a 'when'"),
        ("when: 5", "1:26: in 'when': the expression must be true or false, not a number"),
        ("when: true, repeat: {times: 1, within: 1h}", "'times' is 1; it must be at least 2"),
        ("when: true, repeat: {times: 3}", "missing key 'within'"),
        ("when: true, on_unknown: raise", "'raise' is not one of"),
        ("when: {x: 1}", "in 'when': must be an expression"),
        ("when: true, absent: {for: 5m}", "'when' and 'absent' in one rule; write two rules"),
        ("when: true, for: 5", "'5' is not a duration"),
        ("when: true, max_gap: 0s", "'max_gap' is 0s; it must be at least"),
    ],
)
def test_mistakes_in_a_condition_are_named(rule, message):
    (found,) = complaints(f"- {{id: a, from: t, {rule}}}")
    assert message in found


def test_steps_know_the_steps_before_them():
    rule = load_one(
        """
        - id: a
          from: [commands/+, acks/+]
          sequence:
            within: 1m
            skip: to_next
            steps:
              - {id: cmd, when: payload.type == "command"}
              - {not: payload.type == "ack" && payload.cid == cmd.payload.cid, within: 20s}
          alarm: {message: "command {cmd.payload.cid}"}
        """
    )
    first, second = rule.sequence.steps
    assert (first.id, first.absent, second.when) == ("cmd", None, None)
    assert second.absent.names == {"payload", "cmd"}
    assert (second.id, second.within_ms, rule.sequence.skip) == ("step2", 20_000, "to_next")


def test_quantifiers_and_groups_are_read():
    rule = load_one(
        """
        - id: a
          from: t
          sequence:
            within: 1m
            steps:
              - {id: up, when: payload.v > prev.payload.v, times: 3, contiguity: strict}
              - {id: many, when: payload.v > up.last.payload.v, times: {min: 0}, until: payload.z}
              - all_of: [{id: x, when: payload.x}, {id: y, when: payload.y, from: other/#}]
              - {when: x.payload.n == y.payload.n, optional: true, times: {min: 1, max: 4}}
        """
    )
    up, many, group, last = rule.sequence.steps
    assert (up.times_min, up.times_max, up.contiguity) == (3, 3, "strict")
    assert (many.times_min, many.times_max, many.until.text) == (0, None, "payload.z")
    assert [step.id for step in group.all_of] == ["x", "y"]
    assert (last.times_min, last.times_max, last.is_optional) == (1, 4, True)


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("{within: 1m, steps: [{when: true}]}", "a sequence has 2 to 16 steps, not 1"),
        ("{steps: [{when: true}, {when: true}]}", "'sequence' needs 'within'"),
        ("{within: 1m, steps: [{when: true}, {id: x}]}", "a step has one of 'when', 'not' and"),
        ("{within: 1m, steps: [{when: true}, {when: true, not: true}]}", "a step has one of"),
        ("{within: 1m, steps: [{not: true}, {not: true}]}", "has only 'not' steps"),
        ("{within: 1m, steps: [{id: a, when: true}, {id: a, when: true}]}", "duplicate name 'a'"),
        ("{within: 1m, steps: [{id: a, when: b.x}, {id: b, when: true}]}", "unknown name 'b'"),
        (
            "{within: 1m, steps: [{when: true}, {all_of: [{when: true}]}]}",
            "'all_of' has 2 to",
        ),
        ("{within: 1m, steps: [{when: true}, {when: true, times: 0}]}", "'times' is 0"),
        ("{within: 1m, steps: [{all_of: [{when: true}, {when: true, times: 2}]}]}", "'times' goes"),
        ("{within: 1m, steps: [{when: true}, {not: true, times: 2}]}", "'times' has no meaning"),
        (
            "{within: 1m, steps: [{when: true, optional: true}, {when: true, times: {min: 0}}]}",
            "every step is optional",
        ),
        (
            "{within: 1m, steps: [{when: true}, {not: true}, {when: true, optional: true}]}",
            "the steps behind 'not: true' are all optional",
        ),
        (
            "{within: 1m, steps: [{when: true}, {when: true, times: [1]}]}",
            "a list is not a whole",
        ),
        (
            "{within: 1m, steps: [{when: true}, {all_of: [{when: true}, {not: true}]}]}",
            "a part of 'all_of' has a 'when'",
        ),
        (
            "{within: 1m, steps: [{when: true}, {when: true, times: {min: 3, max: 2}}]}",
            "'max' is 2",
        ),
    ],
)
def test_mistakes_in_a_sequence_are_named(sequence, message):
    (found,) = complaints(f"- {{id: a, from: t, sequence: {sequence}}}")
    assert message in found


def test_a_not_at_an_end_needs_a_span():
    found = complaints("- {id: a, from: t, sequence: {steps: [{when: true}, {not: true}]}}")
    assert any("a 'not' at an end of the sequence needs 'within'" in line for line in found)


def test_absence_is_read():
    absent = load_one("- {id: a, from: t, absent: {for: 5m, startup_grace: 2m}}").absent
    assert (absent.for_ms, absent.startup_grace_ms, absent.clock) == (300_000, 120_000, "arrival")
    assert absent.expect_lookup is None
    assert load_one("- {id: a, from: t, absent: {for: 5m, clock: event}}").absent.clock == "event"
    (found,) = complaints("- {id: a, from: t, absent: {for: 5m, expect: all}}")
    assert "'all' is neither 'seen' nor lookup:NAME" in found
    (found,) = complaints("- {id: a, from: t, absent: {for: 5m, expect: 'lookup:assets'}}")
    assert "unknown lookup 'assets'; none is defined" in found


def test_anomaly_is_read():
    rule = load_one(
        "- {id: a, from: t, alarm: {message: 'score {score:.1f}'}, anomaly: {value: payload.x, "
        "method: level_shift, history: 1000, sensitivity: 2.5, warmup: 200, direction: up}}"
    )
    anomaly = rule.anomaly
    assert (anomaly.value.text, anomaly.method, anomaly.history) == (
        "payload.x",
        "level_shift",
        1000,
    )
    assert (anomaly.sensitivity, anomaly.warmup, anomaly.direction) == (2.5, 200, "up")


def test_a_score_is_known_with_an_anomaly_only():
    (found,) = complaints("- {id: a, from: t, when: true, alarm: {message: '{score}'}}")
    assert "in 'message': unknown name 'score'" in found
    found = complaints("- {id: a, from: t, anomaly: {value: payload.x, method: guess}}")
    assert "'guess' is not one of" in found[0]


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("absent: {for: 7d}", "'for' must be shorter than the state's 'ttl'"),
        (
            "absent: {for: 5m, clock: event, startup_grace: 1m}",
            "'startup_grace' counts by arrival; leave 'clock: event' out",
        ),
    ],
)
def test_an_absence_that_can_never_work_is_refused(rest, message):
    (found,) = complaints(f"- {{id: a, from: t, {rest}}}")
    assert message in found


@pytest.mark.parametrize("step", ["all_of: [{when: true}, {when: true}]", "when: true, times: 3"])
def test_a_step_that_takes_several_events_is_a_sequence_by_itself(step):
    assert complaints(f"- {{id: a, from: t, sequence: {{within: 1m, steps: [{{{step}}}]}}}}") == []
