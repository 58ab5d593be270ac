"""Our expressions against Google's own CEL, where its `cel-expr-python` is installed.

Numbers are doubles here. Left out is where we differ on purpose: infinities (unknown to us),
`list + list` and an order of truth values (refused by us), lists and maps as results.
"""

import random

import pytest

from gateway.errors import ExpressionInvalid
from gateway.rules.expression.checker import Environment
from gateway.rules.expression.compiled import compile_expression
from gateway.rules.values import UNKNOWN
from tests.harness.expression_reference import same

cel = pytest.importorskip("cel_expr_python.cel")
pytestmark = pytest.mark.interop

FIELDS = ["a", "b", "s", "flag", "xs", "deep", "missing"]
LEAVES = [
    *(f"payload.{name}" for name in FIELDS),
    "payload.deep.a", "payload.deep.s", "payload.xs[0]", "payload.xs[1]", "payload.deep.missing",
]  # fmt: skip


class Author:
    """Writes random expressions, mostly well typed."""

    def __init__(self, seed):
        self.pick = random.Random(seed)

    def number(self, depth):
        pick = self.pick
        if depth == 0 or pick.random() < 0.3:
            return pick.choice(
                ["0.0", "1.0", "2.5", "-3.0", "payload.a", "1e3", pick.choice(LEAVES)]
            )
        left, right = self.number(depth - 1), self.number(depth - 1)
        divisor = pick.choice(["2.0", "-4.0", "0.5"])
        return pick.choice(
            [
                f"({left} {pick.choice('+-*')} {right})",
                f"({left} / {divisor})",
                f"({left} - {right})",
                f"(-{left})",
                f"({self.condition(depth - 1)} ? {left} : {right})",
            ]
        )

    def text(self, depth):
        pick = self.pick
        if depth == 0 or pick.random() < 0.4:
            return pick.choice(['"a"', '"ab"', '""', "payload.s", '"\\u00e9"', pick.choice(LEAVES)])
        left, right = self.text(depth - 1), self.text(depth - 1)
        test = self.condition(depth - 1)
        return pick.choice([f"({left} + {right})", f"({test} ? {left} : {right})"])

    def condition(self, depth):
        pick = self.pick
        if depth == 0 or pick.random() < 0.15:
            return pick.choice(["true", "false", "payload.flag", pick.choice(LEAVES)])
        depth -= 1
        sign = pick.choice(["<", "<=", ">", ">=", "==", "!="])
        constant = pick.choice(["null", "true", "1.0", "0.0", '"a"'])
        method = pick.choice(["startsWith", "endsWith", "contains"])
        inner = pick.choice(["x > 1.0", "x == payload.a", "x", "x < 2.0 || payload.flag"])
        leaf, name = pick.choice(LEAVES), pick.choice(FIELDS)
        return pick.choice(
            [
                f"({self.number(depth)} {sign} {self.number(depth)})",
                f"({self.text(depth)} {sign} {self.text(depth)})",
                f"({self.condition(depth)} && {self.condition(depth)})",
                f"({self.condition(depth)} || {self.condition(depth)})",
                f"(!{self.condition(depth)})",
                f"has(payload.{name})",
                f"has(payload.deep.{name})",
                f"({leaf} == {constant})",
                f"({leaf} != {pick.choice(LEAVES)})",
                f"({self.number(depth)} in [{self.number(depth)}, {self.number(depth)}])",
                f"({leaf} in {pick.choice(LEAVES)})",
                f"{self.text(depth)}.{method}({self.text(depth)})",
                f"payload.xs.{pick.choice(['exists', 'all'])}(x, {inner})",
                f"({self.condition(depth)} ? {self.condition(depth)} : {self.condition(depth)})",
            ]
        )

    def scalar(self):
        return self.pick.choice([0.0, 1.0, -2.5, 7.5, "", "a", "ab", "é", None])

    def payload(self):
        pick = self.pick
        payload = {
            "a": pick.choice([0.0, 1.0, 2.5, -3.0, "a", None]),
            "b": pick.choice([0.0, 1.0, 4.0, {}]),
            "s": pick.choice(["a", "ab", "x", 1.0]),
            "flag": pick.choice([True, False, 1.0]),
            "xs": [self.scalar() for _ in range(pick.randrange(4))],
            "deep": {"a": 1.0, "s": "a"},
        }
        return {name: value for name, value in payload.items() if pick.random() < 0.85}


def value_of(expression, payload):
    """What Google's CEL says; errors, and values that we have none for, are UNKNOWN."""
    result = expression.eval(data={"payload": payload})
    if result.type() == cel.Type.ERROR:
        return UNKNOWN
    return result.value()


@pytest.mark.parametrize("seed", range(8))
def test_expressions_agree_with_google(seed):
    author, environment = Author(seed), cel.NewEnv(variables={"payload": cel.Type.DYN})
    compared = 0
    for _ in range(250):
        text = author.pick.choice([author.condition, author.number, author.text])(4)
        try:
            ours = compile_expression(text, Environment())
        except ExpressionInvalid:
            continue
        theirs = environment.compile(text)
        for _ in range(4):
            payload = author.payload()
            found, wanted = ours.evaluate({"payload": payload}), value_of(theirs, payload)
            if isinstance(found, (list, dict)):
                continue
            compared += 1
            assert same(found, wanted), (text, payload, found, wanted)
    assert compared > 100
