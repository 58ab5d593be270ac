import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ExpressionInvalid
from gateway.rules.expression.checker import EVENT_NAMES, Environment
from gateway.rules.expression.template import SHOWN_CHARS_MAX, compile_template, show
from gateway.rules.values import UNKNOWN
from tests.harness.expression_strategies import json_values

ENVIRONMENT = Environment({**EVENT_NAMES, "avg": "number", "n": "number"})
SCOPE = {
    "payload": {"room": "a+b/c", "map": {"y": [1, 2]}, "none": None},
    "avg": 66.04,
    "n": 3.0,
    "device": "d1",
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{device}: {avg:.1f} C", "d1: 66.0 C"),
        ("{n} of {payload.missing}", "3 of ?"),
        ("{{x}} {{}}", "{x} {}"),
        ("{n > 2 ? 'a}' : 'b'}", "a}"),
        ("{n>2?1:2}", "1"),
        ("{n > 2 ? 1 : 2:.2f}", "1.00"),
        ("{n:d}|{avg:d}", "3|66"),
        ("{payload.map}", '{"y":[1,2]}'),
        ("{payload.none}", "null"),
        ("{device:>5s}|", "   d1|"),
        ("{device:.1f}", "d1"),
        ("{payload['a:b']}", "?"),
        ("{avg > 5}", "true"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_placeholders_are_filled(text, shown):
    assert compile_template(text, ENVIRONMENT).render(SCOPE) == shown


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("ab {avg", 4, "a '{' without its '}'"),
        ("avg}", 4, "a '}' without its '{'"),
        ("{{a} {avg", 4, "a '}' without its '{'"),
        ("{}", 2, "the expression is empty"),
        ("x {avg:zz}", 8, "'zz' is no format"),
        ("x {avg:99999f}", 8, "is no format"),
        ("x {avg + tempr}", 10, "unknown name 'tempr'"),
        ("x" * 4_097, 1, "longer than 4096 characters"),
        ("{avg {n}}", 1, "a '{' without its '}'"),
    ],
)
def test_each_mistake_is_named_with_its_column(text, column, message):
    with pytest.raises(ExpressionInvalid) as caught:
        compile_template(text, ENVIRONMENT)
    assert message in str(caught.value)
    assert caught.value.column == column


def test_topics_have_no_wildcards_and_no_unknown_levels():
    topic = compile_template("alarms/{device}/{payload.room}", ENVIRONMENT)
    assert topic.render_topic(SCOPE) == "alarms/d1/a_b/c"
    assert topic.render_topic({"device": "d1", "payload": {}}) is None
    assert topic.render_topic({"device": "#\x00", "payload": {"room": "y" * 2_000}}).startswith(
        "alarms/__/yyy"
    )
    assert compile_template("{device}", ENVIRONMENT).render_topic({"device": ""}) is None


def test_a_lone_placeholder_keeps_the_type_of_its_value():
    assert compile_template("{n}", ENVIRONMENT).value(SCOPE) == 3.0
    assert compile_template("{payload.map}", ENVIRONMENT).value(SCOPE) == {"y": [1, 2]}
    assert compile_template("{payload.missing}", ENVIRONMENT).value(SCOPE) is None
    assert compile_template("{n:.1f}", ENVIRONMENT).value(SCOPE) == "3.0"
    assert compile_template("n={n}", ENVIRONMENT).value(SCOPE) == "n=3"


def test_names_and_stateful_calls_are_those_of_the_placeholders():
    template = compile_template("{device} {changed(payload.x)} {changed(payload.x)}", ENVIRONMENT)
    assert template.names == {"device", "payload", "changed(payload.x)"}
    assert [call.slot for call in template.stateful] == ["changed(payload.x)"]


@settings(max_examples=200, deadline=None)
@given(json_values | st.just(UNKNOWN), st.sampled_from(["", ".1f", "d", ".2e", "%", ">8s", "5"]))
def test_any_value_can_be_shown(value, format_):
    assert isinstance(show(value, format_), str)


def test_what_is_shown_is_bounded():
    assert len(show("x" * 10_000)) == SHOWN_CHARS_MAX
    assert len(show([1] * 1_000_000)) == SHOWN_CHARS_MAX
    deep = []
    for _ in range(5_000):
        deep = [deep]
    assert show(deep) == "?"


@settings(max_examples=200, deadline=None)
@given(st.text("{}a:?'\"\\.1f ", max_size=12))
def test_any_text_is_a_template_or_expression_invalid(text):
    try:
        compile_template(text, ENVIRONMENT).render({})
    except ExpressionInvalid as error:
        assert 1 <= error.column <= len(text) + 1
