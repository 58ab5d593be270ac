import dis

import pytest

from gateway.rules.expression.compiled import compile_expression
from gateway.rules.values import UNKNOWN
from tests.harness.expression_strategies import ENVIRONMENT


def operations(text):
    return {
        step.opname for step in dis.get_instructions(compile_expression(text, ENVIRONMENT).evaluate)
    }


@pytest.mark.parametrize(
    "text",
    [
        "payload.temperature > 30.0 && payload.humidity < 0.4 * payload.limit",
        "payload.xs[0] == 'a' || has(payload.b)",
        "size(payload) > 1 && -payload.a * 2 < 3",
    ],
)
def test_code_reads_no_attributes_and_no_builtins(text):
    assert not operations(text) & {"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "IMPORT_NAME"}


def test_known_values_need_no_closures():
    compiled = compile_expression("payload.a > 1 && payload.b == 'x'", ENVIRONMENT)
    compiled.evaluate.__globals__["slow"] = None
    assert compiled.evaluate({"payload": {"a": 2, "b": "x"}}) is True


def test_an_unknown_name_goes_to_the_closures_at_once():
    compiled = compile_expression("avg == 5 || true", ENVIRONMENT)
    assert compiled.evaluate({"avg": UNKNOWN}) is True


@pytest.mark.parametrize(
    ("text", "payload", "value"),
    [
        ("payload.a == 1", {"a": True}, False),
        ("payload.a != 1", {"a": True}, True),
        ("payload.a == 5", {"a": 5.0}, True),
        ("payload.a == payload.b", {"a": [1, {"x": True}], "b": [1.0, {"x": True}]}, True),
        ("payload.a == payload.b", {"a": {"x": 1}, "b": {"x": True}}, False),
        ("payload.a != null", {"a": None}, False),
        ("true != payload.a", {"a": 1}, True),
        ("payload.a in ['x', 'y']", {"a": ["x"]}, False),
        ("payload.a in payload.b", {"a": "k", "b": {"k": 1}}, True),
        ("payload.a in payload.b", {"a": 1, "b": {"1": 1}}, False),
        ("payload[payload.k]", {"k": "a", "a": 7}, 7),
        ("payload.xs[payload.i]", {"xs": [5, 6], "i": 1.0}, 6),
        ("payload.xs[payload.i]", {"xs": [5, 6], "i": 0.5}, UNKNOWN),
        ("payload.a > payload.b", {"a": "b", "b": "a"}, True),
        ("payload.a > payload.b", {"a": "b", "b": 1}, UNKNOWN),
        ("payload.a > 'a'", {"a": 5}, UNKNOWN),
        ("payload.flag ? payload.a : 0", {"flag": True, "a": "text"}, "text"),
        ("-payload.a", {"a": 3}, -3),
        ("payload.a + payload.b", {"a": "x", "b": "y"}, "xy"),
        ("(payload.a + payload.b) * 2", {"a": "x", "b": "y"}, UNKNOWN),
        ("payload.a / (payload.b * 1e300)", {"a": 1, "b": 1e300}, UNKNOWN),
    ],
)
def test_the_corners_of_python_do_not_show(text, payload, value):
    found = compile_expression(text, ENVIRONMENT).evaluate({"payload": payload})
    assert found is value or (type(found) is type(value) and found == value)
