"""Random expressions, mostly well typed, and random scopes, mostly not what they expect."""

from __future__ import annotations

from hypothesis import strategies as st

from gateway.rules.expression.checker import EVENT_NAMES, Environment
from gateway.rules.values import UNKNOWN

FIELDS = ("a", "b", "s", "flag", "xs", "deep", "missing")
ENVIRONMENT = Environment(
    {**EVENT_NAMES, "avg": "number", "is_open": "bool", "label": "string", "anything": "any"}
)

numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.0, 0.5, 1.0, -2.5, 1e300, 2**53 + 1, 2**63 - 1, 7]),
)
texts = st.sampled_from(["", "a", "ab", "true", "5", "-1.5", "Straße", "x*y"])
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3)
    ),
    max_leaves=6,
)
payloads = st.one_of(
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=7),
    st.fixed_dictionaries(
        {
            "a": numbers,
            "b": numbers,
            "s": texts,
            "flag": st.booleans(),
            "xs": st.lists(scalars, max_size=4),
            "deep": st.dictionaries(st.sampled_from(FIELDS), scalars, max_size=3),
        }
    ),
    json_values,
)


def _or_unknown(strategy):
    return st.one_of(strategy, strategy, st.just(UNKNOWN))


scopes = st.fixed_dictionaries(
    {
        "payload": _or_unknown(payloads),
        "device": st.just("d1"),
        "topic": st.just("plant/d1"),
        "key": st.just("d1"),
        "ts": st.integers(0, 4_000_000_000_000),
        "arrival": st.just(5),
        "avg": _or_unknown(numbers),
        "is_open": _or_unknown(st.booleans()),
        "anything": _or_unknown(json_values),
    },
    optional={"prev": st.fixed_dictionaries({"payload": payloads}), "label": texts},
)


def _joined(*parts):
    """Text made of constants and of what other strategies give."""
    fixed = [part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts]
    return st.tuples(*fixed).map("".join)


def _quoted(value):
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


any_leaf = st.sampled_from(
    [f"payload.{name}" for name in FIELDS]
    + ["payload.deep.a", "payload.deep.s", "payload.xs[0]", "payload.xs[1]", "anything", "key"]
    + ["prev.payload.a", 'payload["b"]', "anything.a", "payload", "payload.xs[payload.a]"]
)
number_leaf = st.one_of(
    st.sampled_from(["avg", "ts", "0", "1", "2", "0.5", "1e300", "9007199254740993", "-1"]),
    any_leaf,
)
text_leaf = st.one_of(texts.map(_quoted), st.sampled_from(["device", "label"]), any_leaf)
bool_leaf = st.one_of(st.sampled_from(["true", "false", "is_open"]), any_leaf)


def _number(children):
    return st.one_of(
        _joined("(", children["number"], st.sampled_from(list("+-*/%")), children["number"], ")"),
        _joined("-", children["number"]),
        _joined(
            st.sampled_from(["abs", "floor", "ceil", "round", "sqrt", "size", "int", "double"]),
            "(", children["number"], ")",
        ),
        _joined(
            st.sampled_from(["min", "max"]), "(", children["number"], ",", children["number"], ")"
        ),
        _joined("(", children["bool"], "?", children["number"], ":", children["number"], ")"),
        st.sampled_from(["hour()", "size(payload.xs)", "min(payload.xs)", "int(payload.s)"]),
    )  # fmt: skip


def _text(children):
    return st.one_of(
        _joined("(", children["text"], "+", children["text"], ")"),
        _joined(st.sampled_from(["lower", "upper", "string"]), "(", children["text"], ")"),
        _joined("string(", children["number"], ")"),
        _joined("(", children["bool"], "?", children["text"], ":", children["text"], ")"),
        st.just("weekday()"),
    )


constants = st.sampled_from(["true", "null", "1", "0", '"a"', "[1,2]"])
patterns = st.sampled_from(['"a*"', '"?b"', '"*"', '"x[*"', '"a*b*"'])


def _bool(children):
    relation = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    return st.one_of(
        _joined("(", children["number"], relation, children["number"], ")"),
        _joined("(", children["text"], relation, children["text"], ")"),
        _joined("(", any_leaf, st.sampled_from(["==", "!="]), constants, ")"),
        _joined("(", children["bool"], st.sampled_from(["==", "!="]), children["bool"], ")"),
        _joined("(", children["bool"], st.sampled_from(["&&", "||"]), children["bool"], ")"),
        _joined("(", children["bool"], "&&", children["bool"], "||", children["bool"], ")"),
        _joined("!", children["bool"]),
        _joined("has(payload.", st.sampled_from(FIELDS), ")"),
        st.sampled_from(["has(payload.deep.a)", "has(avg)", "has(anything.a)"]),
        _joined(
            st.sampled_from(["startsWith", "endsWith", "contains"]),
            "(", children["text"], ",", children["text"], ")",
        ),
        _joined("glob(", children["text"], ",", patterns, ")"),
        _joined("(", children["number"], " in [", children["number"], ",", children["text"], "])"),
        _joined("(", children["text"], ' in ["a","ab"])'),
        _joined("(", any_leaf, " in ", any_leaf, ")"),
        _joined("(", children["bool"], "?", children["bool"], ":", children["bool"], ")"),
        _joined(
            st.sampled_from(["exists", "all"]),
            "(payload.xs,x,",
            st.sampled_from(["x > 1", "x == avg", "x", "x < 2 || payload.flag", 'x == "a"']),
            ")",
        ),
    )  # fmt: skip


def _deepen(levels):
    children = {"number": number_leaf, "text": text_leaf, "bool": bool_leaf}
    for _ in range(levels):
        children = {
            "number": st.one_of(number_leaf, _number(children)),
            "text": st.one_of(text_leaf, _text(children)),
            "bool": st.one_of(bool_leaf, _bool(children)),
        }
    return children


_deep = _deepen(3)
conditions = _bool(_deep)
sources = st.one_of(
    conditions, _number(_deep), _text(_deep), any_leaf, st.just("[payload.a * 2, [avg]]")
)
