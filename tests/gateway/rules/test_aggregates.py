from __future__ import annotations

import pytest

from gateway.rules.aggregates import accepts
from gateway.rules.values import UNKNOWN


@pytest.mark.parametrize("value", [UNKNOWN, None, True, "5", [1], float("nan"), float("inf")])
def test_what_is_no_finite_number_is_no_sample_of_a_mean(value):
    assert not accepts("avg")(value)


@pytest.mark.parametrize("value", [5, 5.0, -1e308, 0])
def test_a_finite_number_is_a_sample_of_a_mean(value):
    assert accepts("avg")(value)


def test_a_text_is_a_sample_of_last_and_nothing_is_not():
    assert accepts("last")("open")
    assert not accepts("last")(None)


def test_only_truth_values_are_samples_of_a_duration():
    assert accepts("duration_true")(False)
    assert not accepts("duration_true")(1)
