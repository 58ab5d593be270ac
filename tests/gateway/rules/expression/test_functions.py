import fnmatch
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.expression.functions import (
    AGGREGATES,
    FUNCTIONS,
    glob_matcher,
    hour_in,
    to_text,
    weekday_in,
)

SPECIFIED = (
    "size abs min max floor ceil round sqrt startsWith endsWith contains glob lower upper int "
    "double string inside distance_m hour weekday changed since"
)


def test_every_specified_function_exists():
    assert set(FUNCTIONS) == set(SPECIFIED.split())


def test_every_specified_aggregate_exists():
    specified = (
        "count sum avg min max first last median percentile stddev variance range distinct rate "
        "delta slope ewma time_avg duration_true list topk"
    )
    assert set(AGGREGATES) == set(specified.split())


@settings(max_examples=400, deadline=None)
@given(st.text("ab*?", max_size=8), st.text("ab\n*", max_size=10))
def test_glob_agrees_with_fnmatch(pattern, text):
    assert glob_matcher(pattern)(text) is fnmatch.fnmatchcase(text, pattern)


@settings(max_examples=200, deadline=None)
@given(st.text("ab?", max_size=4), st.text("ab", max_size=8))
def test_glob_agrees_with_its_definition(pattern, text):
    definition = re.compile("".join("." if c == "?" else re.escape(c) for c in pattern))
    assert glob_matcher(pattern)(text) is (definition.fullmatch(text) is not None)


def test_glob_is_not_slow_on_what_is_meant_to_be_slow():
    assert glob_matcher("*a" * 60 + "b")("a" * 20_000) is False


def test_hours_and_weekdays_before_and_after_the_epoch():
    assert (hour_in(None)(0), weekday_in(None)(0)) == (0, "thu")
    assert (hour_in(None)(-1), weekday_in(None)(-1)) == (23, "wed")
    assert (hour_in(None)(1_700_000_000_000), weekday_in(None)(1_700_000_000_000)) == (22, "tue")


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5"), (5.0, "5"), (-0.5, "-0.5"), (1e20, "1e+20"), (True, "true"), ("x", "x")],
)
def test_numbers_are_written_as_people_do(value, text):
    assert to_text(value) == text


@pytest.mark.parametrize("value", [None, [], {}, 2**63])
def test_what_has_no_short_text_is_refused(value):
    with pytest.raises(TypeError):
        to_text(value)
