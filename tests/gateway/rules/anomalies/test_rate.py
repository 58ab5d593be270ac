from gateway.rules.anomalies.rate import RateOfChange
from tests.harness.anomaly_twins import spec_of


def test_a_fall_within_one_second_differs_from_one_within_an_hour():
    for span_ms, is_usual in ((1_000, False), (3_600_000, True)):
        method = RateOfChange(spec_of("rate"))
        for place in range(60):
            method.take(place * 1_000, float(place % 3))
        score = method.take(59_000 + span_ms, -20.0)
        assert (abs(score) < 2) is is_usual
        assert score < 0


def test_of_values_of_one_moment_the_first_counts():
    method = RateOfChange(spec_of("rate"))
    for place in range(40):
        method.take(place * 1_000, float(place % 2))
    before = method.pack()
    assert method.take(39_000, 500.0) is None
    assert method.pack() == before
