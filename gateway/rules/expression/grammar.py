"""The grammar of expressions, for lark, and the names of its tokens as people know them."""

from __future__ import annotations

GRAMMAR = r"""
?start: expression

?expression: disjunction
    | disjunction "?" disjunction ":" expression           -> conditional

?disjunction: conjunction
    | conjunction ("||" conjunction)+                      -> any_of
?conjunction: relation
    | relation ("&&" relation)+                            -> all_of

?relation: sum
    | relation RELATION sum                                -> binary
    | relation IN sum                                      -> binary
?sum: product
    | sum PLUS product                                     -> binary
    | sum MINUS product                                    -> binary
?product: unary
    | product FACTOR unary                                 -> binary
?unary: postfix
    | BANG unary                                           -> negation
    | MINUS unary                                          -> negative

?postfix: primary
    | postfix "." IDENT                                    -> field
    | postfix "." IDENT "(" [arguments] ")"                -> method
    | postfix "[" expression "]"                           -> index

?primary: IDENT                                            -> name
    | IDENT "(" [arguments] ")"                            -> call
    | "(" expression ")"
    | LSQB [arguments] "]"                                 -> items
    | TRUE                                                 -> true
    | FALSE                                                -> false
    | NULL                                                 -> null
    | INT                                                  -> integer
    | FLOAT                                                -> float
    | STRING                                               -> string
    | DURATION                                             -> duration

arguments: expression ("," expression)*

IN: "in"
TRUE: "true"
FALSE: "false"
NULL: "null"
RELATION: "<=" | ">=" | "==" | "!=" | "<" | ">"
BANG: "!"
LSQB: "["
PLUS: "+"
MINUS: "-"
FACTOR: "*" | "/" | "%"
IDENT: /[A-Za-z_][A-Za-z0-9_]*/
DURATION.3: /([0-9]+(ms|[smhd]))+(?![A-Za-z0-9_])/
FLOAT.2: /([0-9]+\.[0-9]+|\.[0-9]+)([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+/
INT: /[0-9]+/
STRING: /"([^"\\\n]|\\.)*"|'([^'\\\n]|\\.)*'/

WS: /[ \t\r\n]+/
%ignore WS
"""

SPOKEN_TOKENS = {
    "BANG": "!",
    "MINUS": "-",
    "PLUS": "+",
    "FACTOR": "* / %",
    "RELATION": "< <= > >= == !=",
    "IN": "in",
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "COMMA": ",",
    "DOT": ".",
    "COLON": ":",
    "QMARK": "?",
    "__ANON_0": "||",
    "__ANON_1": "&&",
    "TRUE": "true",
    "FALSE": "false",
    "NULL": "null",
    "INT": "a number",
    "FLOAT": "a number",
    "STRING": "a text",
    "DURATION": "a duration",
    "IDENT": "a name",
    "$END": "the end",
}
