"""Why an alarm changed, in the rule's own words."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents import parse_duration_ms
from gateway.rules.reasons import SHOWN_CHARS_MAX, Reason, look_up, show, spell_duration
from gateway.rules.values import UNKNOWN


def reason(text, *names, negated=False, slots=()):
    calls = tuple(SimpleNamespace(slot=slot) for slot in slots)
    expression = SimpleNamespace(text=text, names=frozenset(names), stateful=calls)
    return Reason(expression, is_negated=negated)


def test_a_reason_is_the_condition_and_the_values_that_it_read():
    told = reason("payload.x > limit", "payload", "limit").tell({"payload": {"x": 6}, "limit": 5})
    assert told == "payload.x > limit: payload.x = 6, limit = 5"


def test_a_condition_that_ended_is_false():
    told = reason("avg > 5", "avg", negated=True).tell({"avg": 4.5})
    assert told == "avg > 5 is false: avg = 4.5"


def test_a_condition_that_held_says_for_how_long():
    assert reason("x > 5", "x").tell({"x": 6}, held_ms=90_000) == "x > 5 for 1m30s: x = 6"


def test_words_in_quotes_and_functions_are_no_values():
    told = reason('payload.kind == "x.y" && size(payload.list) > 1', "payload")
    assert told.paths == ("payload.kind", "payload.list")


def test_stateful_calls_are_told_by_their_slot():
    told = reason("changed(x)", "changed(x)", slots=("changed(x)",)).tell({"changed(x)": True})
    assert told == "changed(x): changed(x) = true"


@pytest.mark.parametrize(
    ("path", "expected"),
    [("p.a.b", 1), ("p.list[1]", 3), ("p.list[9]", UNKNOWN), ("p.none.b", UNKNOWN), ("q", UNKNOWN)],
)
def test_a_path_leads_to_a_value_or_nowhere(path, expected):
    found = look_up({"p": {"a": {"b": 1}, "list": [2, 3]}}, path)
    assert found is expected or found == expected


def test_long_values_are_cut_and_what_is_unknown_says_so():
    assert len(show("x" * 200)) == SHOWN_CHARS_MAX
    assert show(UNKNOWN) == "unknown"
    assert show(0.1 + 0.2) == "0.3"


@given(st.integers(1, 10**10))
def test_durations_are_spelt_as_rule_files_write_them(ms):
    assert parse_duration_ms(spell_duration(ms)) == ms


def test_no_time_at_all_is_zero_seconds():
    assert spell_duration(0) == "0s"
