from gateway.rules.trials.cases import Expectation


def test_an_expectation_is_met_once_unless_it_says_otherwise():
    expectation = Expectation("step", 1, 1, 0, None)
    assert (expectation.times, expectation.is_forbidden, dict(expectation.fields)) == (
        None,
        False,
        {},
    )
