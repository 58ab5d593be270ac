"""The fast path: a checked tree as one CPython code object, for events whose values are known.

Names are resolved here: the code reads the scope by constant keys, calls only functions of
`operators` and `functions`, and has no builtins and no attributes. Whenever a value is missing or
of the wrong type the code raises one of `FAILURES`, and the three-valued closures decide instead.
So the code has to notice three things that Python would let pass: truth values that count as
numbers, texts and lists that can be multiplied, and numbers that are not finite.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from itertools import count
from types import FunctionType
from typing import Any, Final
from typing import Literal as Choice

from gateway.rules.expression.closures import Closure, close
from gateway.rules.expression.nodes import (
    COMPARISONS,
    Binary,
    Call,
    Conditional,
    Field,
    Has,
    Index,
    Items,
    Literal,
    Logic,
    Name,
    Negative,
    Node,
    Not,
    Quantifier,
    is_arithmetic,
)
from gateway.rules.expression.operators import (
    BINARY,
    FAILURES,
    fail,
    index,
    known,
    listed,
    number,
    settle,
)
from gateway.rules.values import UNKNOWN, Value

ORDERINGS: Final[dict[str, type[ast.cmpop]]] = {
    "<": ast.Lt,
    "<=": ast.LtE,
    ">": ast.Gt,
    ">=": ast.GtE,
}
SUMS: Final[dict[str, type[ast.operator]]] = {
    "+": ast.Add,
    "-": ast.Sub,
    "*": ast.Mult,
    "/": ast.Div,
}
OPERATOR_NAMES: Final = {operator: f"operator_{place}" for place, operator in enumerate(BINARY)}
SCOPE = "scope"
Expected = Choice["any", "bool", "number"]


class CodeBuilder:
    """Turns trees into expressions of one Python function; its code refers to `constants`.

    After building, `names` are the scope's names that the code reads, and `guarded` those of them
    that must be known before it runs, because they are used whole.
    """

    def __init__(self) -> None:
        self.constants: dict[str, object] = {
            "__builtins__": {},
            "UNKNOWN": UNKNOWN,
            "FAILURES": FAILURES,
            "fail": fail,
            "index": index,
            "known": known,
            "listed": listed,
            "number": number,
            "settle": settle,
            "type": type,
            "float": float,
            "int": int,
            "list": list,
            "dict": dict,
            **{OPERATOR_NAMES[operator]: function for operator, function in BINARY.items()},
        }
        self.names: dict[str, str] = {}
        self.guarded: dict[str, None] = {}
        self._temporaries = count()

    def constant(self, value: object) -> ast.expr:
        """A reference to a value of ours, such as a function."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = value
        return load(name)

    @staticmethod
    def ordering(operator: str) -> ast.cmpop:
        """Python's operator for one of the comparisons."""
        return ORDERINGS[operator]()

    def local(self, name: str, *, is_whole: bool) -> ast.expr:
        """A reference to a name of the scope."""
        variable = self.names.setdefault(name, f"name_{len(self.names)}")
        if is_whole:
            self.guarded[variable] = None
        return load(variable)

    def value(self, node: Node) -> ast.expr:  # noqa: PLR0911 - one line for each sort of node
        """Code for the node's value: known, and finite if it is a number."""
        if node.kind == "bool":
            return self.truth(node)
        match node:
            case Literal():
                return ast.Constant(node.value)
            case Name():
                return self.local(node.name, is_whole=True)
            case Field() | Index():
                return self.path(node)
            case Items():
                return call("listed", *(self.value(item) for item in node.items))
            case Conditional():
                return ast.IfExp(self.truth(node.test), self.value(node.yes), self.value(node.no))
            case Call():
                return self.call(node)
            case _:
                return self._finite(self.arithmetic(node))

    def path(self, node: Node) -> ast.expr:
        """Code for a value in which something is looked up; look-ups fail in what is unknown."""
        match node:
            case Name():
                return self.local(node.name, is_whole=False)
            case Field():
                return subscript(self.path(node.base), node.name)
            case Index(index=Literal(value=position)):
                kept, again = self._keep(self.path(node.base))
                return ast.IfExp(
                    is_type(kept, "list"), subscript(again(), int(position)), call("fail")
                )
            case Index():
                return call("index", self.path(node.base), self.value(node.index))
            case _:
                return self.value(node)

    def truth(self, node: Node) -> ast.expr:  # noqa: C901, PLR0911 - one line for each sort of node
        """Code for the node as exactly True or False."""
        match node:
            case Literal(value=bool()):
                return ast.Constant(node.value)
            case Not():
                return ast.UnaryOp(ast.Not(), self.truth(node.operand))
            case Logic():
                operator = ast.And() if node.operator == "&&" else ast.Or()
                return ast.BoolOp(operator, [self.truth(item) for item in node.items])
            case Binary() if node.operator in COMPARISONS:
                return self._comparison(node)
            case Binary(operator="=="):
                return self._equality(node, is_negated=False)
            case Binary(operator="!="):
                return self._equality(node, is_negated=True)
            case Binary(operator="in"):
                return self._membership(node)
            case Conditional():
                return ast.IfExp(self.truth(node.test), self.truth(node.yes), self.truth(node.no))
            case Has():
                return self._has(node.path)
            case Quantifier():
                return call("known", ast.Call(self.constant(close(node)), [load(SCOPE)], []))
            case Name(kind="bool"):
                return self.local(node.name, is_whole=True)
            case Call(kind="bool"):
                return self.call(node)
        kept, again = self._keep(self.value(node))
        is_not_false = ast.Compare(again(), [ast.IsNot()], [ast.Constant(False)])  # noqa: FBT003 - a constant of the code
        return ast.BoolOp(
            ast.Or(),
            [
                ast.Compare(kept, [ast.Is()], [ast.Constant(True)]),  # noqa: FBT003 - a constant of the code
                ast.BoolOp(ast.And(), [is_not_false, call("fail")]),
            ],
        )

    def arithmetic(self, node: Node) -> ast.expr:
        """Code for the node as a number, which may have left the finite ones."""
        match node:
            case Negative():
                return ast.UnaryOp(ast.USub(), self.arithmetic(node.operand))
            case Binary(operator="+" | "%") if node.kind != "number" or node.operator == "%":
                return (
                    self.number(self._operated(node))
                    if node.kind == "any"
                    else self._operated(node)
                )
            case Binary(operator="+" | "-" | "*" | "/"):
                right = self.arithmetic(node.right)
                if node.operator == "/" and is_arithmetic(node.right):
                    right = self._finite(right)
                return ast.BinOp(self.arithmetic(node.left), SUMS[node.operator](), right)
        code = self.value(node)
        return code if node.kind == "number" else self.number(code)

    def call(self, node: Call) -> ast.expr:
        """Code for a function call, or for a value that the engine supplies in its place."""
        if node.target is None:
            return self.local(node.slot, is_whole=True)
        arguments = [self.value(operand) for operand in node.operands]
        return ast.Call(self.constant(node.target), arguments, [])

    def _operated(self, node: Binary) -> ast.expr:
        return call(OPERATOR_NAMES[node.operator], self.value(node.left), self.value(node.right))

    def _comparison(self, node: Binary) -> ast.expr:
        kinds = (node.left.kind, node.right.kind)
        if kinds == ("any", "any"):
            return self._operated(node)
        left, right = self.value(node.left), self.value(node.right)
        ordering = self.ordering(node.operator)
        if "number" not in kinds or "any" not in kinds:
            # A text compares with nothing else in Python either.
            return ast.Compare(left, [ordering], [right])
        kept, again = self._keep(left if kinds[0] == "any" else right)
        sides = (again(), right) if kinds[0] == "any" else (left, again())
        return ast.IfExp(
            _is_no_truth(kept, again()), ast.Compare(sides[0], [ordering], [sides[1]]), call("fail")
        )

    def _equality(self, node: Binary, *, is_negated: bool) -> ast.expr:
        """`==` in Python's own terms where they agree with ours, else by `operators.equal`."""
        for one, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(one, Literal) and (one.value is None or type(one.value) is bool):
                same: ast.cmpop = ast.IsNot() if is_negated else ast.Is()
                return ast.Compare(self.value(other), [same], [ast.Constant(one.value)])
        kinds = {node.left.kind, node.right.kind}
        constants = [side.value for side in (node.left, node.right) if isinstance(side, Literal)]
        # Only 0 and 1 are the numbers that Python takes truth values for.
        is_safe_number = any(type(v) in (int, float) and v not in (0, 1) for v in constants)
        if "string" in kinds or kinds == {"number"} or (is_safe_number and "list" not in kinds):
            test: ast.cmpop = ast.NotEq() if is_negated else ast.Eq()
            return ast.Compare(self.value(node.left), [test], [self.value(node.right)])
        return self._operated(node)

    def _membership(self, node: Binary) -> ast.expr:
        items = node.right.items if isinstance(node.right, Items) else ()
        texts = [item.value for item in items if isinstance(item, Literal)]
        if texts and len(texts) == len(items) and all(type(text) is str for text in texts):
            return ast.Compare(self.value(node.left), [ast.In()], [_texts(texts)])
        return self._operated(node)

    def _has(self, path: Name | Field) -> ast.expr:
        if isinstance(path, Name):
            self.local(path.name, is_whole=True)
            return ast.Constant(True)  # noqa: FBT003 - the guard has found the name known
        kept, again = self._keep(self.path(path.base))
        return ast.IfExp(
            is_type(kept, "dict"),
            ast.Compare(ast.Constant(path.name), [ast.In()], [again()]),
            call("fail"),
        )

    def number(self, code: ast.expr) -> ast.expr:
        """Code for the same value, if it is a number."""
        kept, again = self._keep(code)
        test = ast.BoolOp(ast.Or(), [is_type(kept, "float"), is_type(again(), "int")])
        return ast.IfExp(test, again(), call("fail"))

    def _finite(self, code: ast.expr) -> ast.expr:
        kept, again = self._keep(code)
        # Infinity minus itself is no number, and no number equals zero.
        difference = ast.BinOp(kept, ast.Sub(), again())
        test = ast.Compare(difference, [ast.Eq()], [ast.Constant(0)])
        return ast.IfExp(test, again(), call("fail"))

    def _keep(self, code: ast.expr) -> tuple[ast.expr, Callable[[], ast.expr]]:
        """The code with its value kept in a variable, and a maker of references to it."""
        if isinstance(code, ast.Name):
            name = code.id
            return code, lambda: load(name)
        variable = f"kept_{next(self._temporaries)}"
        return ast.NamedExpr(store(variable), code), lambda: load(variable)


def _texts(texts: list[str]) -> ast.expr:
    return ast.Tuple([ast.Constant(text) for text in texts], ast.Load())


def load(name: str) -> ast.expr:
    """Code that reads a variable."""
    return ast.Name(name, ast.Load())


def store(name: str) -> ast.Name:
    """The variable as the target of an assignment."""
    return ast.Name(name, ast.Store())


def call(name: str, *arguments: ast.expr) -> ast.expr:
    """Code that calls one of the constants."""
    return ast.Call(load(name), list(arguments), [])


def subscript(base: ast.expr, key: str | int) -> ast.expr:
    """Code for `base[key]`."""
    return ast.Subscript(base, ast.Constant(key), ast.Load())


def is_type(code: ast.expr, name: str) -> ast.expr:
    """Code that asks whether a value is exactly of a type."""
    return ast.Compare(call("type", code), [ast.Is()], [load(name)])


def _is_no_truth(kept: ast.expr, again: ast.expr) -> ast.expr:
    return ast.BoolOp(
        ast.And(),
        [
            ast.Compare(kept, [ast.IsNot()], [ast.Constant(True)]),  # noqa: FBT003 - a constant of the code
            ast.Compare(again, [ast.IsNot()], [ast.Constant(False)]),  # noqa: FBT003 - a constant of the code
        ],
    )


def guards(builder: CodeBuilder) -> list[ast.stmt]:
    """Statements that read the names, and leave for the slow path when a guarded one is unknown."""
    reads: list[ast.stmt] = [
        ast.Assign([store(variable)], subscript(load(SCOPE), name))
        for name, variable in builder.names.items()
    ]
    if not builder.guarded:
        return reads
    tests = [ast.Compare(load(v), [ast.Is()], [load("UNKNOWN")]) for v in builder.guarded]
    test = tests[0] if len(tests) == 1 else ast.BoolOp(ast.Or(), list(tests))
    return [*reads, ast.If(test, [ast.Return(call("slow", load(SCOPE)))], [])]


def build_function(
    name: str, body: list[ast.stmt], constants: Mapping[str, object]
) -> Callable[[Mapping[str, object]], Value]:
    """Compile `def name(scope): body` against the constants alone."""
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(SCOPE)], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    definition = ast.FunctionDef(name, arguments, body, [])
    module = ast.fix_missing_locations(ast.Module([definition], []))
    code = compile(module, f"<rule expression {name}>", "exec")
    (function_code,) = (item for item in code.co_consts if hasattr(item, "co_code"))
    built: Any = FunctionType(function_code, dict(constants), name)
    return built  # type: ignore[no-any-return]


def compile_tree(node: Node, slow: Closure, expected: Expected) -> Closure:
    """Compile a checked tree; `slow` decides whenever the fast code can't."""
    builder = CodeBuilder()
    result = leaving(builder, node, expected)
    body: list[ast.stmt] = [*guards(builder), ast.Return(result)]
    handler = ast.ExceptHandler(load("FAILURES"), None, [ast.Return(call("slow", load(SCOPE)))])
    attempt: list[ast.stmt] = [ast.Try(body, [handler], [], [])]
    return build_function("evaluate", attempt, {**builder.constants, "slow": slow})


def leaving(builder: CodeBuilder, node: Node, expected: Expected) -> ast.expr:
    """Code for a value that leaves the expression as what is expected of it."""
    if expected == "bool":
        return builder.truth(node)
    code = builder.value(node)
    if expected == "number" and node.kind != "number":
        code = builder.number(code)
    return code if is_settled(node) else call("settle", code)


def is_settled(node: Node) -> bool:
    """Whether the value comes from outside as it is, or is no number."""
    kinds = ("bool", "string", "null", "list")
    return node.kind in kinds or isinstance(node, (Name, Field, Index, Literal))
