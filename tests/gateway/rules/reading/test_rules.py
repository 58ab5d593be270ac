import pytest

from gateway.rules.spec import LetSpec
from tests.harness.rule_files import complaints, load_one


def test_a_rule_without_a_key_is_kept_by_device():
    rule = load_one("- {id: a, from: t, when: true}")
    assert [expression.text for expression in rule.key] == ["device"]
    assert load_one("- {id: a, from: t, key: [], when: true}").key == ()
    keys = load_one("- {id: a, from: t, key: [device, payload.user], when: true}").key
    assert [key.evaluate({"device": "d", "payload": {"user": "u"}}) for key in keys] == ["d", "u"]


def test_sources_are_topics_and_rules():
    rule = load_one(
        """
        - {id: a, from: [plant/+/x, $sys/link, '#'], when: true}
        """
    )
    assert [(source.kind, source.name) for source in rule.sources] == [
        ("topic", "plant/+/x"), ("topic", "$sys/link"), ("topic", "#"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("from: t, when: true", "missing key 'id'"),
        ("id: Hot, from: t, when: true", "'Hot' is not an id"),
        ("id: a, when: true", "missing key 'from': where do the events come from?"),
        ("id: a, from: [], when: true", "'from' names no topic"),
        ("id: a, from: a/#/b, when: true", "'a/#/b' is not a topic filter"),
        ("id: a, from: $share/g/x, when: true", "write the filter without $share"),
        ("id: a, from: 'rule:X', when: true", "'X' is not a rule id"),
        ("id: a, from: t", "the rule does nothing"),
        ("id: a, from: t, alarm: {}, emit: {stream: s}", "'alarm' needs a 'when'"),
        ("id: a, from: t, aggregate: {n: count()}, when: n > 1", "'aggregate' needs a 'window'"),
        ("id: a, from: t, window: {sliding: 1m}, when: true", "'window' needs an 'aggregate'"),
        ("id: a, from: t, key: [a, b, c, d, e], when: true", "'key' has 5 expressions; at most 4"),
        ("id: a, from: t, where: x > 1, let: {x: payload.x}, when: true", "unknown name 'x'"),
        ("id: a, from: t, where: changed(payload.x), when: true", "changed() can't stand here"),
        ("id: a, from: t, active: office, when: true", "in 'active': unknown name 'office'"),
        (f"id: a, from: t, title: {'x' * 201}, when: true", "'title' has at most 200 characters"),
        ("id: a, from: [{x: 1}], when: true", "'from' must be a topic filter or rule:ID"),
        ("id: a, from: t, arm: edge, when: true", "'edge' is not one of"),
        ("id: a, from: t, arm: crossing, absent: {for: 5m}", "'arm' needs a 'when'"),
        ("id: a, from: t, enabled: maybe, when: true", "'maybe' is not true or false"),
        (
            "id: a, from: t, window: {sliding: 1m}, aggregate: {n: count()}, absent: {for: 5m}",
            "a window goes with 'when' or 'emit', not with another detector",
        ),
        (
            "id: a, from: t, window: {sliding: 1m}, aggregate: {n: count()}, when: changed(n)",
            "changed() looks back at single events; they have no 'n'",
        ),
    ],
)  # fmt: skip
def test_the_shape_of_a_rule_is_checked(rule, message):
    found = complaints(f"- {{{rule}}}")
    assert message in found[0], found


def test_the_prelude_has_everything_once_in_the_order_of_need():
    rule = load_one(
        """
        - id: a
          from: t
          let:
            over: payload.x - 5
            moved: changed(over)
          when: since(moved) > 5 && changed(over) && changed(payload.mode)
          clear: since(moved) < 1
        """
    )
    found = [item.name if isinstance(item, LetSpec) else item.slot for item in rule.prelude]
    assert found == ["over", "changed(over)", "moved", "since(moved)", "changed(payload.mode)"]


def test_words_about_a_rule_are_kept():
    rule = load_one(
        "- {id: a, from: t, when: true, title: T, description: D, tags: [x, y], "
        "enabled: false, arm: crossing}"
    )
    assert (rule.title, rule.description, rule.tags) == ("T", "D", ("x", "y"))
    assert (rule.enabled, rule.arm, rule.path, rule.line) == (False, "crossing", "r.yaml", 3)
