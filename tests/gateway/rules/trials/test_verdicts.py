import pytest

from gateway.rules.trials.cases import Expectation, Trial
from gateway.rules.trials.outcomes import Happening
from gateway.rules.trials.verdicts import is_as_said, judge, spell


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        (1, 1.0, True),
        (0.3, 0.1 + 0.2, True),
        (1, True, False),
        (True, True, True),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"b": 2}, False),
        ({"a": 1}, "a", False),
        ([1, 2], [1, 2], True),
        ([1], [1, 2], False),
        (None, None, True),
        ("a", "b", False),
    ],
)
def test_only_what_is_written_counts_of_a_value(wanted, found, same):
    assert is_as_said(wanted, found) is same


def test_an_expectation_spells_itself():
    fields = {"rule": "hot", "key": "a", "event": "raised", "message": "x"}
    assert spell(Expectation("step", 1, 1, 0, 90_000, fields)) == (
        'raised hot a message "x" within 0s … 1m30s'
    )


def test_many_happenings_are_cut_short():
    happenings = [Happening("publication", ms, {"publish": "t", "payload": 1}) for ms in range(5)]
    wanted = Expectation("publication", 1, 1, 0, None, {"publish": "t"}, is_forbidden=True)
    trial = Trial("x", "t", 1, 0, 0, (), (wanted,))
    (failure,) = judge(trial, happenings, {})
    assert failure.message.endswith("2ms  publish t 1; and 2 more")
