import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.trials.series import MISSING, VALUES_MAX, SeriesInvalid, parse_series


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("70x3 95", [70, 70, 70, 95]),
        ("80+0.5x4", [80, 80.5, 81.0, 81.5]),
        ("5-2x3", [5, 3, 1]),
        ("-1.5e1x2", [-15.0, -15.0]),
        (".5 1.", [0.5, 1.0]),
        ("true falsex2 null", [True, False, False, None]),
        ("'a b'x2 open half-open", ["a b", "a b", "open", "half-open"]),
        ("1 _x2 2", [1, MISSING, MISSING, 2]),
        ("0.1+0.1x3", [0.1, 0.2, 0.3]),
    ],
)
def test_a_series_is_its_values(text, values):
    assert list(parse_series(text).values) == values


@pytest.mark.parametrize("text", ["", " ", "70x", "7y3", "70 x3", "'open", "1e999", "70x0", "_5"])
def test_what_is_no_series_is_refused_with_an_example(text):
    with pytest.raises(SeriesInvalid, match=r"70x30|values|beyond"):
        parse_series(text)


def test_a_series_is_bounded():
    with pytest.raises(SeriesInvalid, match="1 to"):
        parse_series(f"1x{VALUES_MAX} 2")
    with pytest.raises(SeriesInvalid, match="1 to"):
        parse_series("1x999999999")


def test_one_value_stands_for_all():
    assert parse_series("7").at(12) == 7
    assert parse_series("7 8").at(1) == 8


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-9, 9), st.integers(1, 9)), min_size=1))
def test_a_series_is_what_the_slow_reading_says(parts):
    text = " ".join(f"{first}{step:+d}x{times}" for first, step, times in parts)
    slow = [first + n * step for first, step, times in parts for n in range(times)]
    assert list(parse_series(text).values) == slow
    assert json.dumps(slow) == json.dumps(list(parse_series(text).values))
    assert repr(MISSING) == "_"
