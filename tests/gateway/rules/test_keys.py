from __future__ import annotations

import pytest

from gateway.rules.keys import KEY_CHARS_MAX, KeyPlan, key_text
from gateway.rules.values import UNKNOWN
from tests.harness.rule_runs import rules_of


def key_plan(text):
    (rule,) = rules_of(f"- {{id: r, from: a, key: {text}, when: payload.x > 1}}")
    return KeyPlan(rule.key)


@pytest.mark.parametrize(
    ("value", "text"),
    [("a b/c", "a b/c"), (5, "5"), (5.0, "5"), (5.5, "5.5"), (True, "true"), ("", "")],
)
def test_a_plain_value_is_a_key(value, text):
    assert key_text(value) == text


@pytest.mark.parametrize("value", [UNKNOWN, None, [1], {}, "x" * (KEY_CHARS_MAX + 1)])
def test_what_is_missing_composed_or_endless_is_no_key(value):
    assert key_text(value) is None


def test_several_parts_are_joined_so_that_different_keys_differ():
    plan = key_plan("[payload.a, payload.b]")
    texts = {
        plan.read({"payload": {"a": a, "b": b}})[1]
        for a, b in (("x/y", "z"), ("x", "y/z"), ("x%2Fy", "z"), ("x", "y"))
    }
    assert len(texts) == 4
    assert plan.read({"payload": {"a": "x", "b": 1}}) == (["x", 1], "x/1")
    assert plan.read({"payload": {"a": "x"}}) is None


def test_no_parts_are_one_key_for_all():
    assert key_plan("[]").read({}) == ([], "")


def test_the_device_alone_is_known_as_such():
    assert key_plan("device").is_device
    assert not key_plan("[device, topic]").is_device
