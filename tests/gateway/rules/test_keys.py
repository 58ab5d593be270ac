"""Keys: what is one timeline, and how it is spelt."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.keys import KEY_CHARS_MAX, KeyPlan, key_text
from gateway.rules.values import UNKNOWN

plain = st.one_of(st.text(max_size=8), st.integers(), st.booleans())


def plan_of(*names):
    return KeyPlan(
        [
            SimpleNamespace(text=name, evaluate=lambda scope, name=name: scope.get(name, UNKNOWN))
            for name in names
        ]
    )


def test_a_single_part_is_its_own_text():
    assert plan_of("device").read({"device": "pump/7"}) == ("pump/7", "pump/7")


def test_parts_are_joined_and_their_slashes_escaped():
    values, text = plan_of("device", "user").read({"device": "a/b", "user": "c"})
    assert (values, text) == (["a/b", "c"], "a%2Fb/c")


@given(st.lists(plain, min_size=2, max_size=2), st.lists(plain, min_size=2, max_size=2))
def test_different_keys_have_different_texts(first, second):
    plan = plan_of("x", "y")
    _, one = plan.read(dict(zip("xy", first, strict=True)))
    _, other = plan.read(dict(zip("xy", second, strict=True)))
    alike = [key_text(part) for part in first] == [key_text(part) for part in second]
    assert (one == other) is alike


@pytest.mark.parametrize("value", [UNKNOWN, None, [1], {"a": 1}, "x" * (KEY_CHARS_MAX + 1)])
def test_what_is_unknown_structured_or_endless_is_no_key(value):
    assert plan_of("device").read({"device": value}) is None


def test_an_integer_and_an_equal_float_are_one_key():
    assert key_text(5) == key_text(5.0) == "5"
    assert key_text(5.5) == "5.5"


def test_a_global_rule_has_the_empty_key():
    assert plan_of().read({}) == ([], "")


def test_only_the_plain_device_is_the_device():
    assert plan_of("device").is_device
    assert not plan_of("payload.room").is_device
    assert not plan_of("device", "device").is_device
