import pytest

from gateway.errors import ExpressionInvalid
from gateway.rules.expression.checker import EVENT_NAMES, Environment
from gateway.rules.expression.compiled import compile_expression
from gateway.rules.geometry import Circle

ENVIRONMENT = Environment(
    {**EVENT_NAMES, "avg_temp": "number", "is_open": "bool"},
    {"yard": Circle("yard", 50.0, 30.0, 250.0)},
)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("avg_tmp < 65", 1, "unknown name 'avg_tmp', did you mean 'avg_temp'?"),
        ("1 < temperature", 5, "a field of the event is payload.temperature"),
        ("avg > 5", 1, "'avg'"),
        ("stddev > 5", 1, "'stddev' is an aggregate"),
        ("startsWith", 1, "'startsWith' is a function; write startsWith(text, prefix)"),
        ("avg(payload.x) > 5", 1, "avg() is an aggregate; name it under 'aggregate'"),
        ("sizee(payload.x)", 1, "unknown function 'sizee', did you mean 'size'?"),
        ("qqq(1)", 1, "unknown function 'qqq'; known are abs"),
        ("abs()", 1, "0 arguments; write abs(x)"),
        ("abs(1, 2)", 1, "2 arguments; write abs(x)"),
        ("abs('x')", 5, "abs(x) needs a number here, not a text"),
        ("max(1, 'x')", 8, "takes numbers or one list of numbers"),
        ("1 == true", 1, "a number never equals true or false"),
        ("true == 1", 1, "true or false never equals a number"),
        ("avg_temp == null", 1, "a number never equals null"),
        ("1 + 'a'", 1, "two numbers or two texts"),
        ("'a' - 'b'", 1, "each side of '-' must be a number, not a text"),
        ("true < false", 1, "must be a number or a text, not true or false"),
        ("1 < 2 < 3", 1, "must be a number or a text, not true or false"),
        ("1 && true", 1, "each side of '&&' must be true or false, not a number"),
        ("!avg_temp", 2, "must be true or false, not a number"),
        ("-device", 2, "must be a number, not a text"),
        ("avg_temp ? 1 : 2", 1, "what stands before '?' must be true or false"),
        ("true ? 1 : 'a'", 12, "both answers of '?:' must be of one type"),
        ("avg_temp.x", 1, "a number has no field 'x'"),
        ("device[0]", 1, "a text has no items"),
        ("payload[-1]", 9, "positions are whole numbers from 0"),
        ("payload[1.5]", 9, "positions are whole numbers from 0"),
        ("payload[true]", 9, "by its position or name, not by true or false"),
        ("1 in 'abc'", 6, "for texts write contains(text, part)"),
        ("1 in 2", 6, "'in' looks into a list or a map, not a number"),
        ("exists(payload.xs, device, true)", 1, "'device' already means something"),
        ("exists(payload.xs, x, exists(x, y, true))", 23, "can't stand inside another"),
        ("exists(payload.xs, x, 1)", 23, "the condition of exists() must be true or false"),
        ("exists(1, x, true)", 8, "what exists() looks through must be a list"),
        ("exists(payload.xs, x, changed(x))", 23, "changed() can't stand inside exists() or all()"),
        ("x > 1 && exists(payload.xs, x, true)", 1, "unknown name 'x'"),
        ("glob(device, topic)", 14, "the pattern must be written out as a text"),
        ("inside(1, 2, 'yrad')", 14, "unknown zone 'yrad', did you mean 'yard'?"),
        ("hour('Europe/Kiyv')", 6, "unknown time zone 'Europe/Kiyv'"),
        ("hour('../../etc/passwd')", 6, "unknown time zone"),
        (f"glob(device, '{'*' * 257}')", 1, "a pattern has at most 256 characters"),
        ("5m > 3", 1, "can only be an argument of an aggregate"),
        ("changed(avg_temp)", 9, "changed() looks back at single events; they have no 'avg_temp'"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_column(text, column, message):
    with pytest.raises(ExpressionInvalid) as caught:
        compile_expression(text, ENVIRONMENT)
    assert message in str(caught.value)
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("payload.x", "any"),
        ("payload.x + 1", "number"),
        ("payload.x + payload.y", "any"),
        ("payload.x + 'a'", "string"),
        ("payload.x - payload.y", "number"),
        ("payload.x > 1", "bool"),
        ("is_open ? 1 : 2", "number"),
        ("is_open ? payload.x : 2", "any"),
        ("is_open ? null : 2", "any"),
        ("[1]", "list"),
        ("null", "null"),
        ("size(payload)", "number"),
        ("weekday()", "string"),
        ("has(payload.x)", "bool"),
        ("min(payload.xs)", "number"),
        ("inside(payload.lat, payload.lon, 'yard')", "bool"),
        ("since(payload.on)", "number"),
    ],
)
def test_types_are_known_before_anything_runs(text, kind):
    assert compile_expression(text, ENVIRONMENT).kind == kind


def test_zones_and_time_zones_are_bound():
    inside = compile_expression("inside(payload.lat, payload.lon, 'yard')", ENVIRONMENT).evaluate
    assert inside({"payload": {"lat": 50.001, "lon": 30.0}}) is True
    assert inside({"payload": {"lat": 51, "lon": 30}}) is False
    clock = compile_expression("string(hour('Asia/Tokyo')) + weekday('Asia/Tokyo')", ENVIRONMENT)
    assert clock.evaluate({"ts": 1_700_000_000_000}) == "7wed"


def test_stateful_calls_need_something_to_look_back_at():
    with pytest.raises(ExpressionInvalid, match="looks back at events that passed 'where'"):
        compile_expression("changed(payload.x)", Environment(remembering=None))


def test_new_names_can_be_remembered_when_the_environment_says_so():
    widened = ENVIRONMENT.with_names({"over": "number"})
    with pytest.raises(ExpressionInvalid, match="they have no 'over'"):
        compile_expression("changed(over)", widened)
    compile_expression("changed(over)", widened.remembering_all())
