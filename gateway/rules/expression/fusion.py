"""Many expressions over one event as one function: each field is looked up and typed once.

Most rules compare fields with constants. Such an expression needs no guards of its own: when its
fields are numbers Python's comparisons are ours, and when they are not its closures decide.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from gateway.rules.expression.closures import Closure
from gateway.rules.expression.compiled import CompiledExpression
from gateway.rules.expression.compiler import (
    SCOPE,
    CodeBuilder,
    build_function,
    call,
    is_type,
    leaving,
    load,
    store,
)
from gateway.rules.expression.nodes import (
    COMPARISONS,
    Binary,
    Field,
    Literal,
    Logic,
    Name,
    Node,
    Not,
)
from gateway.rules.spec import Expression
from gateway.rules.values import Value

FusedFunction = Callable[[Mapping[str, object]], tuple[Value, ...]]


def fuse(expressions: Sequence[Expression], shape: Sequence[int | slice] = ()) -> FusedFunction:
    """One function that gives the values of all the expressions, in order; it never raises.

    With a `shape` it gives what that says instead: a single value, or several as one tuple.
    """
    fusion = _Fusion()
    body = [
        statement
        for place, expression in enumerate(expressions)
        for statement in fusion.statements(place, expression)
    ]
    results: list[ast.expr] = [load(_result(place)) for place in range(len(expressions))]
    if shape:
        results = [
            results[item] if isinstance(item, int) else _tuple(results[item]) for item in shape
        ]
    body = [*fusion.prologue(), *body, ast.Return(_tuple(results))]
    constants = {**fusion.builder.constants, **fusion.closures}
    return build_function("evaluate_all", body, constants)


def _tuple(items: Sequence[ast.expr]) -> ast.expr:
    return ast.Tuple(list(items), ast.Load())


def _result(place: int) -> str:
    return f"result_{place}"


class _SharingBuilder(CodeBuilder):
    """A builder whose code reads the event's fields from variables that the prologue filled."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[tuple[str, str], str] = {}

    def path(self, node: Node) -> ast.expr:
        if isinstance(node, Field) and isinstance(node.base, Name):
            return load(self.shared(node, is_whole=True))
        return super().path(node)

    def shared(self, node: Field | Name, *, is_whole: bool) -> str:
        """The variable that holds a name or a field of a name; with `is_whole` it is guarded."""
        if isinstance(node, Name):
            self.local(node.name, is_whole=is_whole)
            return self.names[node.name]
        assert isinstance(node.base, Name)  # noqa: S101 - the caller has looked
        self.local(node.base.name, is_whole=False)
        key = (self.names[node.base.name], node.name)
        variable = self.fields.setdefault(key, f"field_{len(self.fields)}")
        if is_whole:
            self.guarded[variable] = None
        return variable


class _Fusion:
    """The parts of the function, as they come up."""

    def __init__(self) -> None:
        self.builder = _SharingBuilder()
        self.closures: dict[str, Closure] = {}
        self._number_flags: dict[str, str] = {}

    def statements(self, place: int, expression: Expression) -> list[ast.stmt]:
        """The statements that compute one result."""
        slow = f"slow_{place}"
        if not isinstance(expression, CompiledExpression):
            self.closures[slow] = expression.evaluate
            return [_assign(place, call(slow, load(SCOPE)))]
        self.closures[slow] = expression.slow
        simple = self._simple(expression.tree)
        if simple is not None and expression.expected != "number":
            code, flags = simple
            # Where no field is a number nothing can be said; where some are, perhaps.
            otherwise: ast.expr = load("UNKNOWN")
            if len(flags) > 1:
                some = ast.BoolOp(ast.Or(), [load(flag) for flag in flags])
                otherwise = ast.IfExp(some, call(slow, load(SCOPE)), otherwise)
            return [_assign(place, ast.IfExp(_all(flags), code, otherwise))]
        return self._guarded(place, expression, slow)

    def prologue(self) -> list[ast.stmt]:
        """The statements that look up names and fields, and ask which of them are numbers."""
        statements: list[ast.stmt] = [
            _set(variable, _get(load(SCOPE), name)) for name, variable in self.builder.names.items()
        ]
        by_base: dict[str, list[tuple[str, str]]] = {}
        for (base, name), variable in self.builder.fields.items():
            by_base.setdefault(base, []).append((name, variable))
        for base, fields in by_base.items():
            found = [_set(variable, _get(load(base), name)) for name, variable in fields]
            missing = [_set(variable, load("UNKNOWN")) for _, variable in fields]
            statements.append(ast.If(is_type(load(base), "dict"), found, missing))
        for variable, flag in self._number_flags.items():
            tests = [is_type(load(variable), "float"), is_type(load(variable), "int")]
            statements.append(_set(flag, ast.BoolOp(ast.Or(), tests)))
        return statements

    def _guarded(self, place: int, expression: CompiledExpression, slow: str) -> list[ast.stmt]:
        """The general form: the code of a single expression, with its closures behind it."""
        self.builder.guarded = {}
        code = leaving(self.builder, expression.tree, expression.expected)
        fallback = _assign(place, call(slow, load(SCOPE)))
        handler = ast.ExceptHandler(load("FAILURES"), None, [fallback])
        attempt = ast.Try([_assign(place, code)], [handler], [], [])
        guards = [
            ast.Compare(load(variable), [ast.Is()], [load("UNKNOWN")])
            for variable in self.builder.guarded
        ]
        if not guards:
            return [attempt]
        test = guards[0] if len(guards) == 1 else ast.BoolOp(ast.Or(), list(guards))
        return [ast.If(test, [fallback], [attempt])]

    def _simple(self, tree: Node) -> tuple[ast.expr, list[str]] | None:
        """Bare code for comparisons of fields with numbers, and the flags on which it may run."""
        if isinstance(tree, Not):
            inner = self._simple(tree.operand)
            return None if inner is None else (ast.UnaryOp(ast.Not(), inner[0]), inner[1])
        if isinstance(tree, Logic):
            parts = [self._simple(item) for item in tree.items]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                return None
            operator = ast.And() if tree.operator == "&&" else ast.Or()
            flags = list(dict.fromkeys(flag for _, flags in known for flag in flags))
            return ast.BoolOp(operator, [code for code, _ in known]), flags
        return self._simple_comparison(tree)

    def _simple_comparison(self, tree: Node) -> tuple[ast.expr, list[str]] | None:
        if not isinstance(tree, Binary) or tree.operator not in COMPARISONS:
            return None
        sides = (tree.left, tree.right)
        constants = [side for side in sides if _is_number(side)]
        read = [side for side in sides if _is_shareable(side)]
        if len(constants) != 1 or len(read) != 1:
            return None
        (field,) = read
        variable = self.builder.shared(field, is_whole=False)  # type: ignore[arg-type] # shareable
        flag = self._number_flags.setdefault(variable, f"{variable}_is_number")
        codes = [
            ast.Constant(side.value) if isinstance(side, Literal) else load(variable)
            for side in sides
        ]
        ordering = CodeBuilder.ordering(tree.operator)
        return ast.Compare(codes[0], [ordering], [codes[1]]), [flag]


def _is_number(node: Node) -> bool:
    return isinstance(node, Literal) and node.kind == "number"


def _is_shareable(node: Node) -> bool:
    return isinstance(node, Name) or (isinstance(node, Field) and isinstance(node.base, Name))


def _set(variable: str, code: ast.expr) -> ast.stmt:
    return ast.Assign([store(variable)], code)


def _assign(place: int, code: ast.expr) -> ast.stmt:
    return _set(_result(place), code)


def _get(mapping: ast.expr, key: str) -> ast.expr:
    method = ast.Attribute(mapping, "get", ast.Load())
    return ast.Call(method, [ast.Constant(key), load("UNKNOWN")], [])


def _all(flags: Sequence[str]) -> ast.expr:
    return load(flags[0]) if len(flags) == 1 else ast.BoolOp(ast.And(), [load(f) for f in flags])
