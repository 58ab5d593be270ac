from lark import Lark

from gateway.rules.expression.grammar import GRAMMAR, SPOKEN_TOKENS


def test_every_token_has_a_name_that_people_know():
    terminals = {terminal.name for terminal in Lark(GRAMMAR, parser="lalr").terminals}
    assert terminals - {"WS"} <= set(SPOKEN_TOKENS)
    assert all(name != spoken for name, spoken in SPOKEN_TOKENS.items())
