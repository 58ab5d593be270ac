"""Names, types and functions of a parsed expression: found wrong here, or never.

It writes each node's `kind`, and binds each call to what it runs. What the operators do is
`operators`' affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Final

from gateway.documents import did_you_mean
from gateway.errors import ExpressionInvalid
from gateway.rules.expression.functions import (
    AGGREGATES,
    FUNCTIONS,
    Function,
    glob_matcher,
    hour_in,
    weekday_in,
)
from gateway.rules.expression.nodes import (
    ARITHMETIC,
    COMPARISONS,
    Binary,
    Call,
    Conditional,
    Duration,
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
    unparse,
    walk,
)
from gateway.rules.expression.operators import number
from gateway.rules.spec import Zone
from gateway.rules.values import Kind, Value

SPOKEN_KINDS: Final[dict[Kind, str]] = {
    "bool": "true or false",
    "number": "a number",
    "string": "a text",
    "list": "a list",
    "null": "null",
    "any": "any value",
}
PATTERN_CHARS_MAX = 256
EVENT_NAMES: Final[dict[str, Kind]] = {
    "payload": "any",
    "topic": "string",
    "device": "string",
    "key": "any",
    "ts": "number",
    "arrival": "number",
    "prev": "any",
    "score": "number",
}
WORDS = frozenset({"true", "false", "null", "in"})


@dataclass(frozen=True, slots=True)
class Environment:
    """What an expression may name: the scope's names with their types, and zones.

    `remembering` are the names that `changed` and `since` may read, those of single events; None
    where there is nothing to look back at.
    """

    names: Mapping[str, Kind] = field(default_factory=lambda: EVENT_NAMES)
    zones: Mapping[str, Zone] = field(default_factory=dict)
    remembering: frozenset[str] | None = frozenset(EVENT_NAMES)

    def with_names(self, names: Mapping[str, Kind]) -> Environment:
        """The same environment with more names."""
        return replace(self, names={**self.names, **names})

    def remembering_all(self) -> Environment:
        """The same environment, in which `changed` and `since` may read every name of now."""
        return replace(self, remembering=frozenset(self.names))


class Checker:
    """One pass over a tree.

    Afterwards `names` are those it reads, and `stateful` its remembering calls.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.names: set[str] = set()
        self.stateful: list[Call] = []
        self._variables: list[str] = []

    def check(self, node: Node) -> Kind:
        """Type the node and everything below it.

        Raises:
            ExpressionInvalid: the first thing that is wrong, with its column.
        """
        node.kind = self._kind(node)
        return node.kind

    def _kind(self, node: Node) -> Kind:  # noqa: C901, PLR0911, PLR0912 - a line a sort of node
        match node:
            case Literal():
                return kind_of(node.value)
            case Name():
                return self._name(node)
            case Field():
                return self._field(node)
            case Index():
                return self._index(node)
            case Items():
                for item in node.items:
                    self.check(item)
                return "list"
            case Not():
                return self._expect(node.operand, "bool", "what '!' turns round")
            case Negative():
                return self._expect(node.operand, "number", "what '-' turns round")
            case Binary():
                return self._binary(node)
            case Logic():
                for item in node.items:
                    self._expect(item, "bool", f"each side of '{node.operator}'")
                return "bool"
            case Conditional():
                return self._conditional(node)
            case Has():
                return self._has(node)
            case Quantifier():
                return self._quantifier(node)
            case Call():
                return self._call(node)
            case Duration():
                raise ExpressionInvalid(
                    f"a duration such as {node.text} can only be an argument of an aggregate",
                    node.column,
                )
        raise ExpressionInvalid("can't be computed", node.column)

    def _expect(self, node: Node, kind: Kind, what: str) -> Kind:
        if self.check(node) not in (kind, "any"):
            raise ExpressionInvalid(
                f"{what} must be {SPOKEN_KINDS[kind]}, not {SPOKEN_KINDS[node.kind]}", node.column
            )
        return kind

    def _name(self, node: Name) -> Kind:
        if node.name in self._variables:
            self.names.add(node.name)
            return "any"
        kind = self.environment.names.get(node.name)
        if kind is None:
            raise ExpressionInvalid(self._unknown_name(node.name), node.column)
        self.names.add(node.name)
        return kind

    def _unknown_name(self, name: str) -> str:
        names = [*self.environment.names, *self._variables]
        if hint := did_you_mean(name, names):
            return f"unknown name '{name}'{hint}"
        if name in FUNCTIONS:
            return f"'{name}' is a function; write {FUNCTIONS[name].usage}"
        if name in AGGREGATES:
            return f"'{name}' is an aggregate; give it a name under 'aggregate' and use that name"
        known = ", ".join(sorted(names))
        return f"unknown name '{name}'; a field of the event is payload.{name}; known here: {known}"

    def _field(self, node: Field) -> Kind:
        if self.check(node.base) != "any":
            raise ExpressionInvalid(
                f"{SPOKEN_KINDS[node.base.kind]} has no field '{node.name}'", node.column
            )
        return "any"

    def _index(self, node: Index) -> Kind:
        if self.check(node.base) not in ("list", "any"):
            raise ExpressionInvalid(f"{SPOKEN_KINDS[node.base.kind]} has no items", node.column)
        wanted: tuple[Kind, ...] = (
            ("number", "any") if node.base.kind == "list" else ("number", "string", "any")
        )
        if self.check(node.index) not in wanted:
            raise ExpressionInvalid(
                f"an item is found by its position or name, not by {SPOKEN_KINDS[node.index.kind]}",
                node.index.column,
            )
        position = node.index.value if isinstance(node.index, Literal) else 0
        if node.index.kind == "number" and (position < 0 or position != int(position)):
            raise ExpressionInvalid("positions are whole numbers from 0", node.index.column)
        return "any"

    def _binary(self, node: Binary) -> Kind:
        left, right = self.check(node.left), self.check(node.right)
        if node.operator == "in":
            return self._membership(node)
        if node.operator in ARITHMETIC or node.operator in COMPARISONS:
            return self._ordered(node)
        if left != right and "any" not in (left, right):
            raise ExpressionInvalid(
                f"{SPOKEN_KINDS[left]} never equals {SPOKEN_KINDS[right]}", node.column
            )
        return "bool"

    def _membership(self, node: Binary) -> Kind:
        if node.right.kind == "string":
            raise ExpressionInvalid(
                "'in' looks into a list or a map; for texts write contains(text, part)",
                node.right.column,
            )
        if node.right.kind not in ("list", "any"):
            raise ExpressionInvalid(
                f"'in' looks into a list or a map, not {SPOKEN_KINDS[node.right.kind]}",
                node.right.column,
            )
        return "bool"

    def _ordered(self, node: Binary) -> Kind:
        """Arithmetic and comparisons: two numbers, or two texts where texts make sense."""
        is_comparison = node.operator in COMPARISONS
        allowed: tuple[Kind, ...] = ("number", "any")
        if is_comparison or node.operator == "+":
            allowed = ("number", "string", "any")
        for side in (node.left, node.right):
            if side.kind not in allowed:
                wanted = " or ".join(SPOKEN_KINDS[kind] for kind in allowed[:-1])
                raise ExpressionInvalid(
                    f"each side of '{node.operator}' must be {wanted}, not "
                    f"{SPOKEN_KINDS[side.kind]}",
                    side.column,
                )
        kinds = {node.left.kind, node.right.kind} - {"any"}
        if len(kinds) > 1:
            raise ExpressionInvalid(
                f"'{node.operator}' takes two numbers or two texts, not one of each", node.column
            )
        if is_comparison:
            return "bool"
        return kinds.pop() if kinds else ("any" if node.operator == "+" else "number")

    def _conditional(self, node: Conditional) -> Kind:
        self._expect(node.test, "bool", "what stands before '?'")
        yes, no = self.check(node.yes), self.check(node.no)
        if yes == no:
            return yes
        if not {"any", "null"} & {yes, no}:
            raise ExpressionInvalid(
                f"both answers of '?:' must be of one type, not {SPOKEN_KINDS[yes]} and "
                f"{SPOKEN_KINDS[no]}",
                node.no.column,
            )
        return "any"

    def _has(self, node: Has) -> Kind:
        self.check(node.path)
        return "bool"

    def _quantifier(self, node: Quantifier) -> Kind:
        self._expect(node.source, "list", f"what {node.function}() looks through")
        taken = {*self.environment.names, *self._variables, *WORDS}
        if node.variable in taken:
            raise ExpressionInvalid(f"'{node.variable}' already means something", node.column)
        if self._variables:
            raise ExpressionInvalid(
                f"{node.function}() can't stand inside another exists() or all()", node.column
            )
        self._variables.append(node.variable)
        self._expect(node.condition, "bool", f"the condition of {node.function}()")
        self._variables.pop()
        self.names.discard(node.variable)
        return "bool"

    def _call(self, node: Call) -> Kind:
        function = FUNCTIONS.get(node.function)
        if function is None:
            raise ExpressionInvalid(self._unknown_function(node.function), node.column)
        if not function.arity_min <= len(node.arguments) <= function.arity_max:
            raise ExpressionInvalid(
                f"{len(node.arguments)} arguments; write {function.usage}", node.column
            )
        for place, argument in enumerate(node.arguments):
            kind = function.parameters[min(place, len(function.parameters) - 1)]
            if self.check(argument) not in (kind, "any") and kind != "any":
                raise ExpressionInvalid(
                    f"{function.usage} needs {SPOKEN_KINDS[kind]} here, not "
                    f"{SPOKEN_KINDS[argument.kind]}",
                    argument.column,
                )
        return self._bind(node, function)

    def _unknown_function(self, name: str) -> str:
        if name in AGGREGATES:
            return f"{name}() is an aggregate; name it under 'aggregate', and use that name here"
        hint = did_you_mean(name, [*FUNCTIONS, "exists", "all", "has"])
        return f"unknown function '{name}'{hint or '; known are ' + ', '.join(sorted(FUNCTIONS))}"

    def _bind(self, node: Call, function: Function) -> Kind:
        binders: dict[str, Callable[[Call], None]] = {
            "glob": self._bind_glob,
            "inside": self._bind_inside,
            "hour": self._bind_clock,
            "weekday": self._bind_clock,
            "changed": self._bind_stateful,
            "since": self._bind_stateful,
            "min": _check_extreme,
            "max": _check_extreme,
        }
        node.target, node.operands = function.call, node.arguments
        if node.function in binders:
            binders[node.function](node)
        return function.result

    def _bind_glob(self, node: Call) -> None:
        pattern = _constant_text(node.arguments[1], "the pattern")
        if len(pattern) > PATTERN_CHARS_MAX:
            raise ExpressionInvalid(
                f"a pattern has at most {PATTERN_CHARS_MAX} characters", node.column
            )
        node.target, node.operands = glob_matcher(pattern), node.arguments[:1]

    def _bind_inside(self, node: Call) -> None:
        name = _constant_text(node.arguments[2], "the zone")
        zone = self.environment.zones.get(name)
        if zone is None:
            zones = self.environment.zones
            known = ", ".join(sorted(zones)) or "none; add it under 'zones'"
            hint = did_you_mean(name, zones) or f"; known are {known}"
            raise ExpressionInvalid(f"unknown zone '{name}'{hint}", node.arguments[2].column)
        node.target, node.operands = _insider(zone), node.arguments[:2]

    def _bind_clock(self, node: Call) -> None:
        zone = find_timezone(node.arguments[0]) if node.arguments else None
        node.target = hour_in(zone) if node.function == "hour" else weekday_in(zone)
        ts = Name(node.column, "ts")
        self.check(ts)
        node.operands = (ts,)

    def _bind_stateful(self, node: Call) -> None:
        if self._variables:
            raise ExpressionInvalid(
                f"{node.function}() can't stand inside exists() or all()", node.column
            )
        self._check_remembered(node)
        if node.function == "since":
            self.check(Name(node.column, "ts"))
        node.slot = unparse(node)
        self.names.add(node.slot)
        if all(call.slot != node.slot for call in self.stateful):
            self.stateful.append(node)

    def _check_remembered(self, call: Call) -> None:
        remembering = self.environment.remembering
        if remembering is None:
            raise ExpressionInvalid(
                f"{call.function}() can't stand here; it looks back at events that passed 'where'",
                call.column,
            )
        for node in walk(call):
            if isinstance(node, Name) and node.name not in remembering:
                raise ExpressionInvalid(
                    f"{call.function}() looks back at single events; they have no '{node.name}'",
                    node.column,
                )


def kind_of(value: Value) -> Kind:
    """The type of a constant."""
    kinds: dict[type, Kind] = {bool: "bool", int: "number", float: "number", str: "string"}
    return "null" if value is None else kinds.get(type(value), "any")


def find_timezone(node: Node) -> tzinfo:
    """The time zone that a constant text names.

    Raises:
        ExpressionInvalid: it is no constant, or this machine knows no such zone.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    name = _constant_text(node, "the time zone")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ExpressionInvalid(
            f"unknown time zone '{name}' (write Europe/Kyiv, UTC)", node.column
        ) from None


def _constant_text(node: Node, what: str) -> str:
    if isinstance(node, Literal) and type(node.value) is str:
        return node.value
    raise ExpressionInvalid(f"{what} must be written out as a text", node.column)


def _check_extreme(node: Call) -> None:
    allowed = ("number", "any", "list") if len(node.arguments) == 1 else ("number", "any")
    for argument in node.arguments:
        if argument.kind not in allowed:
            raise ExpressionInvalid(
                f"{node.function}() takes numbers or one list of numbers, not "
                f"{SPOKEN_KINDS[argument.kind]}",
                argument.column,
            )


def _insider(zone: Zone) -> Callable[[Value, Value], bool]:
    def is_inside(lat: Value, lon: Value) -> bool:
        return zone.holds(number(lat), number(lon))

    return is_inside
