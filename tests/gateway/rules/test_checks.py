import pytest

from tests.harness.rule_files import complaints, load


def warnings(rules):
    return [warning.message for warning in load(rules).warnings]


def test_a_circle_of_derived_streams_is_told_once_in_the_direction_of_events():
    found = complaints(
        """
        - {id: a, from: rule:c, emit: {stream: a}}
        - {id: b, from: rule:a, emit: {stream: b}}
        - {id: c, from: rule:b, emit: {stream: c}}
        """
    )
    assert found == ["1:17: these rules feed each other in a circle: a → b → c → a"]


def test_a_rule_may_not_read_itself():
    found = complaints("- {id: a, from: [t, rule:a], emit: {stream: a}}")
    assert found == ["1:17: these rules feed each other in a circle: a → a"]


def test_a_chain_and_a_diamond_are_no_circle():
    assert not complaints(
        """
        - {id: a, from: t, emit: {stream: a}}
        - {id: b, from: rule:a, emit: {stream: b}}
        - {id: c, from: rule:a, emit: {stream: c}}
        - {id: d, from: [rule:b, rule:c], when: true}
        """
    )


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("from: rule:nobody, when: true", "unknown rule 'nobody'; no rule of this set"),
        ("from: rule:b, when: true", "rule 'b' emits no stream"),
        ("from: t, when: true, suppress: {while_active: [a]}", "can't suppress itself"),
        ("from: t, when: true, suppress: {while_active: x}", "unknown rule 'x' in 'while_active'"),
        ("from: t, emit: {stream: alerts}", "the stream 'alerts' is the gateway's own"),
        (
            "from: t, join: {with: {o: rule:zz}, within: 1m}, when: true",
            "unknown rule 'zz'",
        ),
        (
            "from: t, sequence: {within: 1m, steps: [{when: true}, {when: true, from: rule:zz}]}",
            "unknown rule 'zz'",
        ),
    ],
)
def test_what_rules_refer_to_must_exist(rule, message):
    found = complaints(f"- {{id: a, {rule}}}\n- {{id: b, from: t, when: true}}")
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("when: payload.x > 80, clear: payload.x < 75", ""),
        ("when: payload.x > 80, clear: payload.x <= 80", ""),
        ("when: payload.x >= 80, clear: payload.x <= 80", "can both be true"),
        ("when: payload.x > 80, clear: payload.x > 70", "can both be true"),
        ("when: payload.x > 80, clear: payload.y > 70", ""),
        ("when: payload.s == 'a', clear: payload.s == 'b'", ""),
        ("when: payload.s == 'a', clear: payload.s == 'a'", "can both be true"),
        ("when: payload.on, clear: '!payload.on'", ""),
        ("when: payload.x > 5 && payload.x < 3", "never be true"),
        ("when: payload.x == 5 && payload.x != 5", ""),
        ("when: true, publish: {topic: t}", "reads the topic that it publishes to"),
        ("when: true, publish: {topic: 't/{device}'}", ""),
        ("when: true, publish: {topic: 'x/{device}', on: [raised]}", ""),
    ],
)
def test_doubts_are_warned_of(rule, message):
    found = warnings(f"- {{id: a, from: t, {rule}}}")
    assert [message in line for line in found] == ([True] if message else [])


@pytest.mark.parametrize(
    ("source", "topic", "reads"),
    [
        ("#", "alarms/x", True),
        ("alarms/+/x", "alarms/{device}/x", True),
        ("alarms/+/x", "alarms/{device}/y", False),
        ("alarms/#", "alarms/{device}/y", True),
        ("alarms", "alarms/{device}", False),
        ("a/b", "{device}", False),
        ("+", "pre-{device}", True),
    ],
)
def test_a_rule_that_hears_itself_is_found(source, topic, reads):
    rule = f"- {{id: a, from: '{source}', when: true, publish: {{topic: '{topic}'}}}}"
    assert bool(warnings(rule)) is reads


def test_a_level_that_a_higher_one_always_hides_is_warned_of():
    (found,) = warnings(
        """
        - id: a
          from: t
          when: payload.x > 0
          alarm:
            levels:
              - {severity: warning, when: payload.x > 5}
              - {severity: critical, when: payload.x > 0}
        """
    )
    assert "level 'warning' is never reached: 'critical' holds whenever it does" in found


def test_a_level_that_is_reached_sooner_is_reached():
    assert not warnings(
        """
        - id: a
          from: t
          when: payload.x > 0
          alarm:
            levels:
              - {severity: warning, when: payload.x > 5}
              - {severity: critical, when: payload.x > 0, for: 1m}
        """
    )
