from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ExpressionInvalid
from gateway.rules.expression.compiled import compile_expression
from gateway.rules.expression.fusion import fuse
from gateway.rules.values import UNKNOWN
from tests.harness.expression_reference import same
from tests.harness.expression_strategies import ENVIRONMENT, conditions, scopes, sources

thresholds = st.sampled_from(
    [
        "payload.a > 1",
        "2 >= payload.b",
        "payload.a < 3 && payload.b > -2",
        "!(payload.a <= 0.5) || avg > 1",
        "payload.deep.a > 1",
        "avg > 0 && ts > 5",
        "anything < 2",
    ]
)


def compiled_or_none(text):
    try:
        return compile_expression(text, ENVIRONMENT, "bool")
    except ExpressionInvalid:
        return None


@settings(max_examples=250, deadline=None)
@given(
    st.lists(st.one_of(thresholds, conditions), min_size=1, max_size=6),
    st.lists(scopes, min_size=1, max_size=3),
)
def test_a_fused_function_gives_what_each_expression_gives_alone(texts, some_scopes):
    expressions = [found for text in texts if (found := compiled_or_none(text)) is not None]
    evaluate_all = fuse(expressions)
    for scope in some_scopes:
        alone = [expression.evaluate(scope) for expression in expressions]
        together = evaluate_all(scope)
        assert len(together) == len(alone)
        assert all(map(same, together, alone)), (texts, scope, together, alone)


@settings(max_examples=80, deadline=None)
@given(st.lists(sources, min_size=1, max_size=4), scopes)
def test_values_of_every_type_can_be_fused(texts, scope):
    expressions = [compile_expression(text, ENVIRONMENT) for text in texts]
    together = fuse(expressions)(scope)
    assert all(map(same, together, (expression.evaluate(scope) for expression in expressions)))


def test_no_expressions_give_no_values():
    assert fuse([])({}) == ()


def test_an_empty_scope_makes_everything_unknown():
    expressions = [
        compile_expression(text, ENVIRONMENT) for text in ("payload.a > 1", "avg", "payload.a + 1")
    ]
    assert fuse(expressions)({}) == (UNKNOWN, UNKNOWN, UNKNOWN)


def test_an_expression_of_another_make_is_asked_as_it_is():
    class Constant:
        def evaluate(self, scope):
            return scope["device"]

    assert fuse([Constant()])({"device": "d7"}) == ("d7",)
