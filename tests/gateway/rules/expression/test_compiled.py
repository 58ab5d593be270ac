import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ExpressionInvalid
from gateway.rules.expression.checker import EVENT_NAMES, Environment
from gateway.rules.expression.compiled import compile_expression
from gateway.rules.values import UNKNOWN
from tests.harness.expression_reference import reference_as, same
from tests.harness.expression_strategies import ENVIRONMENT, scopes, sources


@settings(max_examples=400, deadline=None)
@given(
    sources, st.lists(scopes, min_size=1, max_size=3), st.sampled_from(["any", "bool", "number"])
)
def test_compiled_code_means_what_the_reference_says(text, some_scopes, expected):
    try:
        compiled = compile_expression(text, ENVIRONMENT, expected)
    except ExpressionInvalid:
        return
    for scope in some_scopes:
        wanted = reference_as(compiled.tree, scope, expected)
        found = compiled.evaluate(scope)
        assert same(found, wanted), (text, scope, found, wanted)
        assert same(compiled.slow(scope), wanted), (text, scope)


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="abpx.0159\"'+-*/%<>=!&|?:()[],{} \n\\\u00e9\u2028in", max_size=40))
def test_any_text_is_an_expression_or_expression_invalid(text):
    try:
        compile_expression(text, ENVIRONMENT)
    except ExpressionInvalid as error:
        assert 1 <= error.column <= len(text) + 1


@settings(max_examples=400, deadline=None)
@given(sources, st.integers(0, 60), st.text(max_size=3))
def test_a_damaged_expression_is_an_expression_or_expression_invalid(text, place, noise):
    try:
        compile_expression(text[:place] + noise + text[place + 1 :], ENVIRONMENT)
    except ExpressionInvalid as error:
        assert error.column >= 1


def value_of(text, expected="any", **scope):
    return compile_expression(text, ENVIRONMENT, expected).evaluate(scope)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7 / 2", 3.5),
        ("6 / 2 == 3", True),
        ("-7 % 3", -1),
        ("7.5 % -2", 1.5),
        ("1 == 1.0", True),
        ("2 + 3 * 4 - 1", 13),
        ('"a" + "b"', "ab"),
        ("1 < 2 && 2 < 1 || true", True),
        ("!(1 > 2)", True),
        ("true ? 1 : 2", 1),
        ("3 in [1, 2, 3]", True),
        ("[1, 2] == [1, 2.0]", True),
        ("[5, 6][1]", 6),
        ("distance_m(0, 0, 0, 180) > 20015000", True),
        ('"a" in ["b"]', False),
        ("round(2.5)", 3),
        ("round(-2.5)", -3),
        ("round(0.49999999999999994)", 0),
        ("round(3.14159, 2)", 3.14),
        ("floor(-0.5)", -1),
        ("min(3, 1, 2) + max([4, 5])", 6),
        ('size("héllo")', 5),
        ('int("42") + int(-3.9)', 39),
        ('double("1e3")', 1000.0),
        ("string(5.0)", "5"),
        ("string(true)", "true"),
        ('glob("pump-7", "pump-*")', True),
        ('glob("a[b", "a[b")', True),
        ('"pump-7".startsWith("pump") && "x".contains("") && "ab".endsWith("b")', True),
        ("[1, 2, 3].exists(x, x > 2) && all([], x, x > 2)", True),
        ('upper("ab") == "AB" && lower("AB") == "ab"', True),
    ],
)
def test_constants_are_computed_as_documented(text, value):
    assert same(value_of(text), value)


@pytest.mark.parametrize(
    "text",
    [
        "payload.n * payload.xs",
        "payload.n * payload.s",
        "payload.xs + payload.xs",
        "payload.flag + 1",
        "payload.flag < 1",
        "-payload.flag",
        "payload.xs < payload.xs",
        "payload.n / 0",
        "payload.n % 0",
        "1 / (1e300 * 1e300 * payload.n)",
        "1e300 * 1e300 * payload.n - 1e300 * 1e300 * payload.n",
        "sqrt(-1)",
        "payload.s[0]",
        "payload.xs[-1 * payload.n]",
        "payload.xs[payload.flag]",
        "payload.xs[5]",
        "payload.missing",
        "payload.n.x",
        "prev.payload.n",
        "!payload.n",
        "payload.n && true",
        'int("x")',
        'double("nan")',
        'double("inf")',
        'int("9223372036854775808000")',
        "min(payload.xs, 1)",
        "min([])",
        "round(1.5, 99)",
        "payload.xs[payload.s]",
        "has(payload.missing.x)",
        "payload.big in payload.long",
    ],
)
def test_what_has_no_value_is_unknown(text):
    payload = {"n": 3, "xs": [1, 2], "s": "abc", "flag": True, "long": list(range(1001)), "big": 5}
    assert value_of(text, payload=payload) is UNKNOWN


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("payload.missing > 1 && false", False),
        ("false && payload.missing > 1", False),
        ("payload.missing > 1 || true", True),
        ("payload.missing > 1 || false", UNKNOWN),
        ("payload.missing > 1 && true", UNKNOWN),
        ("!(payload.missing > 1)", UNKNOWN),
        ("has(payload.missing)", False),
        ("has(payload.here)", True),
        ("has(payload.here) && payload.here == null", True),
        ("exists([1, payload.xs, 3], x, x > 2)", True),
        ("exists([1, payload.xs], x, x > 2)", UNKNOWN),
        ("all([1, payload.xs], x, x > 2)", False),
        ("payload.missing > 1 ? 1 : 2", UNKNOWN),
        ("true ? 1 : payload.missing", 1),
    ],
)
def test_unknown_is_decided_only_by_what_decides(text, value):
    assert same(value_of(text, payload={"here": None, "xs": []}), value)


def test_truth_values_never_equal_numbers():
    payload = {"t": True, "f": False, "one": 1, "zero": 0.0, "nested": [True]}
    for text in (
        "payload.t == payload.one",
        "payload.t == 1",
        "0 == payload.f",
        "payload.one == true",
        "payload.zero == false",
        "payload.nested == [1]",
        "payload.t in [1, 2]",
        "1 in payload.nested",
    ):
        assert value_of(text, payload=payload) is False, text


def test_integers_that_leave_an_expression_stay_small():
    scope = {"payload": {"n": 2**62}}
    value = compile_expression("payload.n * payload.n", ENVIRONMENT).evaluate(scope)
    assert type(value) is float
    assert value == 2.0**124
    assert value_of("[payload.n * 8, 1]", **scope) == [2.0**65, 1]


def test_an_integer_beyond_floats_is_unknown_on_its_way_out():
    text = "*".join(["payload.n"] * 20)
    assert value_of(text, payload={"n": 2**62}) is UNKNOWN
    assert value_of(f"{text} > 0", payload={"n": 2**62}) is True


def test_texts_stay_bounded():
    assert value_of("payload.s + payload.s", payload={"s": "x" * 40_000}) is UNKNOWN


def test_a_name_that_the_scope_lacks_is_unknown():
    assert value_of("avg > 5") is UNKNOWN
    assert value_of("avg > 5 || true") is True


@pytest.mark.parametrize("payload", [None, 5, "text", [1], True, UNKNOWN, {"a": {"b": "c"}}, {}])
def test_no_payload_makes_an_expression_raise(payload):
    for text in ("payload.a.b + 1 > 2 && payload.a > 3", "payload.a in payload", "size(payload)"):
        compile_expression(text, ENVIRONMENT).evaluate({"payload": payload})


def test_deeply_nested_payloads_are_compared_without_recursion_errors():
    deep = []
    for _ in range(5_000):
        deep = [deep]
    assert value_of("payload.x == payload.y", payload={"x": deep, "y": [deep]}) is UNKNOWN


def test_an_expected_type_makes_other_values_unknown():
    assert value_of("payload.x", "bool", payload={"x": 1}) is UNKNOWN
    assert value_of("payload.x", "bool", payload={"x": True}) is True
    assert value_of("payload.x", "number", payload={"x": True}) is UNKNOWN
    assert value_of("payload.x", "number", payload={"x": 4}) == 4


def test_a_wrong_static_type_is_refused_where_another_is_expected():
    with pytest.raises(ExpressionInvalid, match="must be true or false, not a number"):
        compile_expression("1 + 2", ENVIRONMENT, "bool")


def test_names_are_those_that_are_read():
    compiled = compile_expression("payload.a > avg && exists(payload.xs, x, x > ts)", ENVIRONMENT)
    assert compiled.names == {"payload", "avg", "ts"}
    assert compile_expression("hour() > 5", ENVIRONMENT).names == {"ts"}


def test_functions_and_names_do_not_meet():
    environment = Environment({**EVENT_NAMES, "size": "number", "max": "number"})
    compiled = compile_expression("size > size(payload.s) && max < max(1, 2)", environment)
    assert compiled.evaluate({"size": 3, "max": 1, "payload": {"s": "ab"}}) is True


def test_changed_compares_with_the_last_known_value():
    compiled = compile_expression("changed(payload.mode)", ENVIRONMENT)
    (call,) = compiled.stateful
    assert call.slot in compiled.names
    memory, values = None, []
    for payload in ({"mode": "a"}, {"mode": "a"}, {}, {"mode": "a"}, {"mode": "b"}):
        scope = {"payload": payload}
        memory, scope[call.slot] = call.advance(memory, scope)
        values.append(compiled.evaluate(scope))
    assert values == [UNKNOWN, False, UNKNOWN, False, True]


def test_since_counts_seconds_of_event_time():
    compiled = compile_expression("since(payload.on) > 1", ENVIRONMENT)
    (call,) = compiled.stateful
    assert call.names == {"payload", "ts"}
    memory, values = None, []
    for ts, is_on in ((0, False), (1_000, True), (1_500, False), (3_000, False)):
        scope = {"payload": {"on": is_on}, "ts": ts}
        memory, scope[call.slot] = call.advance(memory, scope)
        values.append((scope[call.slot], compiled.evaluate(scope)))
    assert values == [(UNKNOWN, UNKNOWN), (0.0, False), (0.5, False), (2.0, True)]


def test_changed_and_since_say_nothing_of_what_they_cannot_compare():
    (call,) = compile_expression("changed(payload.x)", ENVIRONMENT).stateful
    deep = []
    for _ in range(100):
        deep = [deep]
    assert call.advance([deep], {"payload": {"x": deep}}) == ([deep], UNKNOWN)
    (call,) = compile_expression("since(payload.on)", ENVIRONMENT).stateful
    assert call.advance(5, {"payload": {"on": True}}) == (5, UNKNOWN)


def test_stateful_calls_are_listed_innermost_first():
    compiled = compile_expression("since(changed(payload.mode)) > 5", ENVIRONMENT)
    assert [call.slot for call in compiled.stateful] == [
        "changed(payload.mode)",
        "since(changed(payload.mode))",
    ]


def test_a_compiled_expression_has_no_way_to_python():
    evaluate = compile_expression("payload.a", ENVIRONMENT).evaluate
    assert evaluate.__globals__["__builtins__"] == {}
    assert value_of("payload.__class__", payload={"a": 1}) is UNKNOWN
    assert value_of("payload.keys", payload={"a": 1}) is UNKNOWN
