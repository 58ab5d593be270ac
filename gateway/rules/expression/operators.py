"""What the operators do with known values: exact, bounded, an error for a wrong type.

Both the compiled code and the three-valued closures call these, so that there is one meaning. Every
result is a finite number, a bounded text or a truth value; what has no such result raises one of
`FAILURES`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Final, NoReturn

from gateway.rules.values import INTEGER_MAX, LIST_ITEMS_MAX, STRING_CHARS_MAX, UNKNOWN, Value

FAILURES: Final = (TypeError, LookupError, ValueError, ArithmeticError)
EQUALITY_DEPTH_MAX = 64
JSON_INTEGER_MAX = 2 * INTEGER_MAX + 1  # JSON decoding keeps unsigned 64-bit integers


def fail() -> NoReturn:
    """End the fast path: a value is not of the type that is needed."""
    raise TypeError


def is_number(value: Value) -> bool:
    """Whether the value is a number; truth values are none, whatever Python says."""
    return type(value) is float or type(value) is int


def finite(value: Value) -> Value:
    """The number itself, if it is finite."""
    if value - value != 0:
        raise ArithmeticError
    return value


def settle(value: Value) -> Value:
    """A value as it leaves an expression or enters a list: finite, and integers within 64 bits.

    A larger integer becomes a float, as JSON decoding would make it; so no integer can grow for
    ever.
    """
    if type(value) is int:
        return value if -INTEGER_MAX <= value <= JSON_INTEGER_MAX else float(value)
    return finite(value) if type(value) is float else value


def known(value: Value) -> Value:
    """The value itself, if it is known."""
    if value is UNKNOWN:
        raise TypeError
    return value


def truth(value: Value) -> bool:
    """The truth value itself; nothing else has a truth."""
    if value is True or value is False:
        return bool(value)
    raise TypeError


def number(value: Value) -> Value:
    """The number itself; truth values are none."""
    if type(value) is float or type(value) is int:
        return value
    raise TypeError


def add(left: Value, right: Value) -> Value:
    """The sum of two numbers, or two texts joined."""
    if type(left) is str and type(right) is str:
        if len(left) + len(right) > STRING_CHARS_MAX:
            raise ValueError
        return left + right
    return finite(number(left) + number(right))


def subtract(left: Value, right: Value) -> Value:
    """The difference of two numbers."""
    return finite(number(left) - number(right))


def multiply(left: Value, right: Value) -> Value:
    """The product of two numbers; texts and lists are not repeated."""
    return finite(number(left) * number(right))


def divide(left: Value, right: Value) -> Value:
    """Real division: 7 / 2 is 3.5. Nothing can be divided by zero."""
    return finite(number(left) / number(right))


def remainder(left: Value, right: Value) -> Value:
    """What is left of a division whose quotient is cut towards zero: it has the sign of `left`."""
    if type(left) is int and type(right) is int:
        rest = abs(left) % abs(right)
        return -rest if left < 0 else rest
    return math.fmod(number(left), number(right))


def negate(value: Value) -> Value:
    """The number with the other sign."""
    return -number(value)


def _comparison(compare: Callable[[Value, Value], bool]) -> Callable[[Value, Value], bool]:
    def compared(left: Value, right: Value) -> bool:
        if not (type(left) is str and type(right) is str):
            return compare(number(left), number(right))
        return compare(left, right)

    return compared


def equal(left: Value, right: Value) -> bool:
    """Whether two values are the same; values of different types never are, 1 and 1.0 are."""
    return _equal(left, right, EQUALITY_DEPTH_MAX)


def _equal(left: Value, right: Value, levels: int) -> bool:
    if levels == 0 or left is UNKNOWN or right is UNKNOWN:
        raise TypeError
    if type(left) is list and type(right) is list:
        return len(left) == len(right) and all(
            _equal(one, other, levels - 1) for one, other in zip(left, right, strict=True)
        )
    if type(left) is dict and type(right) is dict:
        return left.keys() == right.keys() and all(
            _equal(item, right[name], levels - 1) for name, item in left.items()
        )
    if is_number(left) and is_number(right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def unequal(left: Value, right: Value) -> bool:
    """Whether two values differ."""
    return not equal(left, right)


def member(item: Value, container: Value) -> bool:
    """Whether a list holds the item, or a map has it as a key."""
    if type(container) is list:
        if len(container) > LIST_ITEMS_MAX:
            raise ValueError
        return any(equal(item, other) for other in container)
    if type(container) is not dict or item is None or type(item) in (list, dict):
        raise TypeError
    return type(known(item)) is str and item in container


def listed(*values: Value) -> list[Value]:
    """The values as a list."""
    return [settle(value) for value in values]


def field(base: Value, name: str) -> Value:
    """The value that a map has under `name`."""
    if type(base) is dict:
        return known(base[name])
    raise TypeError


def index(base: Value, position: Value) -> Value:
    """The item of a list at a whole, not negative position, or the value of a map under a text."""
    if type(base) is dict:
        return field(base, position) if type(position) is str else fail()
    if type(base) is not list or number(position) != int(position) or position < 0:
        raise TypeError
    return known(base[int(position)])


BINARY: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": remainder,
    "<": _comparison(operator.lt),
    "<=": _comparison(operator.le),
    ">": _comparison(operator.gt),
    ">=": _comparison(operator.ge),
    "==": equal,
    "!=": unequal,
    "in": member,
}
