import pytest

from gateway.errors import ExpressionInvalid
from gateway.rules.expression.nodes import Binary, Field, Literal, Logic, unparse, walk
from gateway.rules.expression.parser import DEPTH_MAX, ITEMS_MAX, SOURCE_CHARS_MAX, parse


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b * c - d", "(a + (b * c)) - d"),
        ("a || b && c", "a || (b && c)"),
        ("!a.b && -c[0] < 2", "(!a.b) && ((-c[0]) < 2)"),
        ("a ? b : c ? d : e", "a ? b : (c ? d : e)"),
        ("((a))", "a"),
        ("a in [1, 2,3]", "a in [1, 2, 3]"),
        ("x.startsWith('p')", 'startsWith(x, "p")'),
        ("xs.exists(x, x > 1)", "exists(xs, x, x > 1)"),
        ("has(a.b)", "has(a.b)"),
        ('a["b"].c["d e"]', 'a.b.c["d e"]'),
        ("payload.in.true", "payload.in.true"),
        ("-5 - -.5", "-5 - -0.5"),
        ("a&&b&&c||d", "(a && b && c) || d"),
        (" \n a\t<=\r\n b ", "a <= b"),
        ("f()", "f()"),
        ("ewma(a, 1h30m)", "ewma(a, 1h30m)"),
        ("1e3", "1000.0"),
        ("010", "10"),
    ],
)
def test_precedence_and_spelling(text, tree):
    assert unparse(parse(text)) == tree
    assert unparse(parse(tree)) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a\\n\\t\\\\\\""', 'a\n\t\\"'),
        ("'it\\'s'", "it's"),
        ('"\\u20ac\\x41\\U0001F600"', "€A😀"),
        ("'\"'", '"'),
    ],
)
def test_texts_have_escapes(text, value):
    tree = parse(text)
    assert isinstance(tree, Literal)
    assert tree.value == value


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("avg >", 5, "syntax error near column 5 of the expression; expected one of ['!', '('"),
        ("a b", 3, "syntax error near column 3 of the expression"),
        ("(a", 2, "')'"),
        ("", 1, "the expression is empty"),
        ("a = 5", 3, "write '=='"),
        ("a and b", 3, "write '&&'"),
        ("a or b", 3, "write '||'"),
        ("not a", 1, "write '!'"),
        ("a & b", 3, "write '&&'"),
        ("'abc", 1, "a text that is not closed"),
        ('x == "abc', 6, "a text that is not closed"),
        ("a @ b", 3, "syntax error near column 3"),
        ('"\\q"', 1, "is not an escape"),
        ('"\\ud800"', 1, "is not an escape"),
        ("99999999999999999999", 1, "beyond 64 bits"),
        ("1e999", 1, "too large a number"),
        ("exists(x, 1, 2)", 1, "write exists(list, variable, condition)"),
        ("has(1)", 1, "write has(payload.field)"),
        ("has(a[0])", 1, "write has(payload.field)"),
        ("1 + ewma(a, 5s3h)", 13, "is not a duration"),
    ],
)
def test_each_syntax_error_says_where_and_what(text, column, message):
    with pytest.raises(ExpressionInvalid) as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.column == column


def test_expected_tokens_have_names_that_people_know():
    with pytest.raises(ExpressionInvalid) as caught:
        parse("a + ")
    assert "'a number'" in str(caught.value)
    assert "BANG" not in str(caught.value)
    assert "IDENT" not in str(caught.value)


def test_only_what_can_follow_is_expected():
    with pytest.raises(ExpressionInvalid) as caught:
        parse("a b")
    assert "')'" not in str(caught.value)


def test_brackets_may_nest_and_nodes_may_not_nest_deeper_than_the_bound():
    parse("(" * 1_000 + "a" + ")" * 1_000)
    parse("!" * (DEPTH_MAX - 1) + "a")
    with pytest.raises(ExpressionInvalid, match="nested deeper"):
        parse("!" * DEPTH_MAX + "a")


def test_a_long_chain_of_conditions_is_one_level():
    tree = parse(" && ".join(["a > 1"] * 200))
    assert isinstance(tree, Logic)
    assert len(tree.items) == 200


def test_text_and_lists_are_bounded():
    with pytest.raises(ExpressionInvalid, match="longer than"):
        parse("a" * (SOURCE_CHARS_MAX + 1))
    parse(f"[{','.join(['1'] * ITEMS_MAX)}]")
    with pytest.raises(ExpressionInvalid, match="at most 256"):
        parse(f"[{','.join(['1'] * (ITEMS_MAX + 1))}]")


def test_columns_are_those_of_the_text():
    tree = parse("aa > bb.c")
    assert isinstance(tree, Binary)
    assert (tree.left.column, tree.right.column) == (1, 6)
    assert [type(node) for node in walk(tree)][-2:] == [Field, type(tree.left)]
