import math

import pytest

from gateway.rules.expression.checker import Environment
from gateway.rules.expression.compiled import compile_expression
from gateway.rules.trials.explaining import distance, parts_of, tree_of
from gateway.rules.values import UNKNOWN


def compiled(text):
    return compile_expression(text, Environment())


def test_each_part_has_its_value_and_constants_are_left_out():
    parts = parts_of(compiled("payload.x > 5 && !payload.on"), {"payload": {"x": 7, "on": True}})
    assert [(part.depth, part.text, part.value) for part in parts] == [
        (0, "(payload.x > 5) && (!payload.on)", False),
        (1, "payload.x > 5", True),
        (2, "payload.x", 7),
        (1, "!payload.on", False),
        (2, "payload.on", True),
    ]


@pytest.mark.parametrize(
    ("text", "payload", "why"),
    [
        ("payload.x > 5", {}, "payload has no field 'x'"),
        ("payload.x.y > 5", {"x": 3}, "payload.x is a number and has no fields"),
        ("payload.x > 5", UNKNOWN, "the payload is no JSON"),
        ("payload.x * 2 > 5", {"x": "a"}, "not possible with a text and a number"),
        ("payload.x + payload.y > 5", {"x": [1], "y": None}, "not possible with a list and null"),
        ("prev.payload.x > 5", {}, "'prev' is not known"),
        ("exists(payload.x, y, y > 1)", {}, "payload has no field 'x'"),
    ],
)
def test_what_is_unknown_says_why(text, payload, why):
    first = parts_of(compiled(text), {"payload": payload, "prev": UNKNOWN})[0]
    assert (first.value, first.why) == (UNKNOWN, why)


@pytest.mark.parametrize(
    ("text", "far"),
    [
        ("payload.x > 5", 0.2),
        ("payload.x > 3", 0.0),
        ("payload.x > 5 && payload.x > 8", 0.5),
        ("payload.x > 5 || payload.x > 8", 0.2),
        ("!(payload.x < 5)", 0.2),
        ("payload.missing > 5", math.inf),
        ("payload.on", math.inf),
        ('payload.text == "a"', math.inf),
        ('payload.text > "x"', math.inf),
    ],
)
def test_a_condition_is_as_far_from_true_as_its_numbers_lie_apart(text, far):
    payload = {"x": 4, "on": False, "text": "b"}
    tree = tree_of(compiled(text))
    assert distance(tree, {"payload": payload}) == pytest.approx(far)
