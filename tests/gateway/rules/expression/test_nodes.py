import pytest
from hypothesis import given, settings

from gateway.rules.expression.nodes import Node, is_arithmetic, unparse, walk
from gateway.rules.expression.parser import parse
from tests.harness.expression_strategies import sources


@settings(max_examples=200, deadline=None)
@given(sources)
def test_an_unparsed_tree_parses_to_the_same_tree(text):
    written = unparse(parse(text))
    assert unparse(parse(written)) == written


def test_walking_visits_each_node_before_its_children():
    names = [type(node).__name__ for node in walk(parse("f(a.b, !c) ? [1] : exists(x, y, y > 2)"))]
    assert names == [
        "Conditional", "Call", "Field", "Name", "Not", "Name", "Items", "Literal",
        "Quantifier", "Name", "Binary", "Name", "Literal",
    ]  # fmt: skip


def test_what_is_no_node_of_the_language_has_no_text():
    with pytest.raises(TypeError, match="Node can't be written"):
        unparse(Node(1))


def test_arithmetic_is_what_can_leave_the_finite_numbers():
    assert is_arithmetic(parse("a * b"))
    assert is_arithmetic(parse("-a"))
    assert not is_arithmetic(parse("a < b"))
    assert not is_arithmetic(parse("-5"))
