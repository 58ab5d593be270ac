"""The meaning of expressions once more, slow and plain: the twin that the compiled code must equal.

It shares the parser with the product, and nothing else: a recursive reading of the tree with three
truth values, in which everything that goes wrong is UNKNOWN at once.
"""

from __future__ import annotations

import fnmatch
import math
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from gateway.rules.expression import nodes
from gateway.rules.values import UNKNOWN

LIST_MAX = 1_000
TEXT_MAX = 65_536


def reference(tree, scope):
    """The value of a tree; integers beyond 64 bits become floats on the way out."""
    return _settled(_value(tree, scope))


def reference_as(tree, scope, expected):
    """The value as what is expected, or UNKNOWN."""
    value = reference(tree, scope)
    if expected == "bool":
        return value if value is True or value is False else UNKNOWN
    if expected == "number":
        return value if _is_number(value) else UNKNOWN
    return value


def same(one, other):
    """Whether two values are the same, truth values and numbers being different things."""
    if one is UNKNOWN or other is UNKNOWN:
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if _is_number(one) and _is_number(other):
        return one == other
    return type(one) is type(other) and one == other


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _settled(value):
    if _is_number(value):
        if isinstance(value, int) and not -(2**63) < value < 2**64:
            try:
                return float(value)
            except OverflowError:
                return UNKNOWN
        return value if math.isfinite(value) else UNKNOWN
    return value


def _value(node, scope):  # noqa: C901, PLR0911, PLR0912 - a line a sort of node
    match node:
        case nodes.Literal():
            return node.value
        case nodes.Name():
            return scope.get(node.name, UNKNOWN)
        case nodes.Field():
            base = _value(node.base, scope)
            return base.get(node.name, UNKNOWN) if isinstance(base, dict) else UNKNOWN
        case nodes.Index():
            return _item(_value(node.base, scope), _value(node.index, scope))
        case nodes.Items():
            items = [_settled(_value(item, scope)) for item in node.items]
            return UNKNOWN if any(item is UNKNOWN for item in items) else items
        case nodes.Not():
            return (
                {True: False, False: True}[v]
                if _is_truth(v := _value(node.operand, scope))
                else UNKNOWN
            )
        case nodes.Negative():
            return -v if _is_number(v := _value(node.operand, scope)) else UNKNOWN
        case nodes.Binary():
            return _binary(node.operator, _value(node.left, scope), _value(node.right, scope))
        case nodes.Logic():
            return _logic(node, scope)
        case nodes.Conditional():
            test = _value(node.test, scope)
            if not _is_truth(test):
                return UNKNOWN
            return _value(node.yes if test else node.no, scope)
        case nodes.Has():
            return _has(node, scope)
        case nodes.Quantifier():
            return _quantifier(node, scope)
        case nodes.Call():
            return _call(node, scope)
    raise AssertionError(node)


def _is_truth(value):
    return value is True or value is False


def _item(base, index):
    if isinstance(base, dict) and isinstance(index, str):
        return base.get(index, UNKNOWN)
    if isinstance(base, list) and _is_number(index) and index == math.floor(index):
        return base[int(index)] if 0 <= index < len(base) else UNKNOWN
    return UNKNOWN


def _logic(node, scope):
    """CEL: one deciding operand is enough, wherever it stands; otherwise all must be known."""
    values = [_value(item, scope) for item in node.items]
    decisive = node.operator == "||"
    if any(value is decisive for value in values):
        return decisive
    return (not decisive) if all(_is_truth(value) for value in values) else UNKNOWN


def _has(node, scope):
    if isinstance(node.path, nodes.Name):
        return scope.get(node.path.name, UNKNOWN) is not UNKNOWN
    base = _value(node.path.base, scope)
    return node.path.name in base if isinstance(base, dict) else UNKNOWN


def _quantifier(node, scope):
    items = _value(node.source, scope)
    if not isinstance(items, list) or len(items) > LIST_MAX:
        return UNKNOWN
    values = [_value(node.condition, {**scope, node.variable: item}) for item in items]
    decisive = node.function == "exists"
    if any(value is decisive for value in values):
        return decisive
    return (not decisive) if all(_is_truth(value) for value in values) else UNKNOWN


def _binary(operator, left, right):  # noqa: PLR0911 - a line a sort of operator
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if operator in ("==", "!="):
        return same(left, right) is (operator == "==")
    if operator == "in":
        return _membership(left, right)
    if isinstance(left, str) and isinstance(right, str):
        return _texts(operator, left, right)
    if not (_is_number(left) and _is_number(right)):
        return UNKNOWN
    if operator in ("<", "<=", ">", ">="):
        order = (left > right) - (left < right)
        return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]
    return _arithmetic(operator, left, right)


def _membership(item, container):
    if isinstance(container, list):
        if len(container) > LIST_MAX:
            return UNKNOWN
        return any(same(item, other) for other in container)
    if isinstance(container, dict) and isinstance(item, (str, int, float)):
        return isinstance(item, str) and item in container
    return UNKNOWN


def _texts(operator, left, right):
    if operator == "+":
        return left + right if len(left) + len(right) <= TEXT_MAX else UNKNOWN
    if operator not in ("<", "<=", ">", ">="):
        return UNKNOWN
    order = (left > right) - (left < right)
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]


def _arithmetic(operator, left, right):
    try:
        if operator == "+":
            result = left + right
        elif operator == "-":
            result = left - right
        elif operator == "*":
            result = left * right
        elif operator == "/":
            result = left / right
        else:
            result = _remainder(left, right)
    except (ZeroDivisionError, OverflowError):
        return UNKNOWN
    return result if isinstance(result, int) or math.isfinite(result) else UNKNOWN


def _remainder(left, right):
    """By the definition: left less right times the quotient cut towards zero, computed exactly."""
    if isinstance(left, float) or isinstance(right, float):
        float(left), float(right)
    rest = Fraction(left) - Fraction(right) * math.trunc(Fraction(left) / Fraction(right))
    return rest.numerator if isinstance(left, int) and isinstance(right, int) else float(rest)


def _call(node, scope):
    if node.slot:
        return scope.get(node.slot, UNKNOWN)
    values = [_value(argument, scope) for argument in node.arguments]
    if any(value is UNKNOWN for value in values):
        return UNKNOWN
    if node.function in ("hour", "weekday"):
        return _clock(node.function, scope.get("ts", UNKNOWN))
    try:
        return FUNCTIONS[node.function](*values)
    except (TypeError, ValueError, OverflowError, AttributeError):
        return UNKNOWN


def _clock(function, ts):
    if not _is_number(ts):
        return UNKNOWN
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=math.floor(ts / 1000))
    except OverflowError:
        return None  # beyond the calendar: only plain arithmetic can tell
    return moment.hour if function == "hour" else moment.strftime("%a").lower()


def _number(value):
    if not _is_number(value):
        raise TypeError
    return value


def _text(value):
    if not isinstance(value, str):
        raise TypeError
    return value


def _extreme(choose):
    def extreme(*values):
        if len(values) == 1 and isinstance(values[0], list):
            values = values[0]
        return choose([_number(value) for value in values])

    return extreme


def _round(value, digits=0):
    _number(value)
    if not _is_number(digits) or digits not in range(16):
        raise ValueError
    if digits:
        return round(value, int(digits))
    whole = math.floor(abs(Fraction(value)) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def _int(value):
    if isinstance(value, str):
        if re.fullmatch(r"[-+]?[0-9]{1,19}", value):
            return int(value)
        raise ValueError
    return int(_number(value))


def _double(value):
    if isinstance(value, str):
        if not re.fullmatch(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?", value):
            raise ValueError
        number = float(value)
    else:
        number = float(_number(value))
    return number if math.isfinite(number) else UNKNOWN


def _string(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if _is_number(value):
        if isinstance(value, int) and abs(value) >= 2**63:
            raise ValueError
        whole = isinstance(value, float) and value == math.floor(value) and abs(value) < 1e15
        return str(int(value) if whole else value)
    raise TypeError


def _glob(text, pattern):
    # fnmatch knows [sets]; we don't.
    return fnmatch.fnmatchcase(_text(text), pattern.replace("[", "[[]"))


def _size(value):
    if not isinstance(value, (str, list, dict)):
        raise TypeError
    return len(value)


FUNCTIONS = {
    "size": _size,
    "abs": lambda value: abs(_number(value)),
    "min": _extreme(min),
    "max": _extreme(max),
    "floor": lambda value: math.floor(_number(value)),
    "ceil": lambda value: math.ceil(_number(value)),
    "round": _round,
    "sqrt": lambda value: math.sqrt(_number(value)),
    "startsWith": lambda text, part: _text(text).startswith(_text(part)),
    "endsWith": lambda text, part: _text(text).endswith(_text(part)),
    "contains": lambda text, part: _text(part) in _text(text),
    "glob": _glob,
    "lower": lambda text: _text(text).lower(),
    "upper": lambda text: _text(text).upper(),
    "int": _int,
    "double": _double,
    "string": _string,
}
