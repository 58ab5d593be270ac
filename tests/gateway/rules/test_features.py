from gateway.rules.expression.functions import AGGREGATES
from gateway.rules.features import FEATURES
from gateway.rules.supported import SUPPORTED


def test_what_is_supported_is_part_of_the_language():
    assert SUPPORTED <= FEATURES, sorted(SUPPORTED - FEATURES)


def test_every_aggregate_is_a_feature():
    assert {f"aggregate.{name}" for name in AGGREGATES} <= FEATURES
