import pytest

from gateway.errors import ExpressionInvalid
from gateway.rules.expression.checker import Environment
from gateway.rules.expression.functions import AGGREGATES
from gateway.rules.reading.aggregate_calls import parse_aggregate, result_kind


@pytest.mark.parametrize("usage", AGGREGATES.values())
def test_every_usage_that_errors_show_is_right(usage):
    text = usage.replace("(x", "(payload.x").replace(", x", ", payload.x").replace("(by", "(device")
    text = text.replace("condition", "payload.on")
    spec = parse_aggregate("name", text, Environment())
    assert spec.function == usage.partition("(")[0]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("count()", (None, None, None, False)),
        ("avg(payload.x + 1)", ("payload.x + 1", None, None, False)),
        ("percentile(payload.x, 99.5)", ("payload.x", None, 99.5, False)),
        ("percentile(payload.x, 95, sketch)", ("payload.x", None, 95.0, True)),
        ("ewma(payload.x, 1h30m)", ("payload.x", None, 5_400_000.0, False)),
        ("list(payload.x, 10)", ("payload.x", None, 10.0, False)),
        ("topk(device, payload.kw, 5)", ("[device, payload.kw]", "device", 5.0, False)),
    ],
)
def test_arguments_find_their_places(text, parts):
    spec = parse_aggregate("name", text, Environment())
    value = spec.value.text if spec.value else None
    by = spec.by.text if spec.by else None
    assert (value, by, spec.parameter, spec.is_sketch) == parts


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("payload.x", 1, "an aggregate is one call, such as avg(payload.value)"),
        ("avg(payload.x) * 2", 1, "an aggregate is one call"),
        ("cuont()", 1, "unknown aggregate 'cuont', did you mean 'count'?"),
        ("size(payload.x)", 1, "'size' is a function of one value, no aggregate"),
        ("avg()", 1, "too few arguments; write avg(x)"),
        ("avg(payload.x, 5)", 16, "too many arguments; write avg(x)"),
        ("count(payload.x)", 7, "too many arguments; write count()"),
        ("avg('a')", 5, "must be a number, not a text"),
        ("avg(x)", 5, "unknown name 'x'"),
        ("duration_true(5)", 15, "must be true or false, not a number"),
        ("percentile(payload.x, 101)", 23, "must be a number from 0 to 100"),
        ("percentile(payload.x, payload.p)", 23, "must be a number from 0 to 100"),
        ("list(payload.x, 1000)", 17, "must be a whole number from 1 to 100"),
        ("list(payload.x, 2.5)", 17, "must be a whole number from 1 to 100"),
        ("list(payload.x, true)", 17, "must be a whole number from 1 to 100"),
        ("ewma(payload.x, 5)", 17, "must be a duration (write 30s, 5m, 1h30m), as in ewma(x, 5m)"),
        ("avg(payload.x, sketch)", 16, "too many arguments"),
        ("avg(", 4, "syntax error near column 4"),
    ],
)
def test_each_mistake_is_named_with_its_column(text, column, message):
    with pytest.raises(ExpressionInvalid) as caught:
        parse_aggregate("name", text, Environment())
    assert message in str(caught.value)
    assert caught.value.column == column


def test_results_have_types():
    kinds = {
        text: result_kind(parse_aggregate("n", text, Environment()))
        for text in ("count()", "first(payload.x)", "list(payload.x, 3)", "distinct(payload.x)")
    }
    assert list(kinds.values()) == ["number", "any", "list", "number"]
