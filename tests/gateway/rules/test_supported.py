"""What the engine says that it runs."""

from gateway.rules.aggregates import ACCUMULATORS, FOLDS
from gateway.rules.features import FEATURES
from gateway.rules.moments import MONOIDS
from gateway.rules.supported import SUPPORTED


def test_every_name_is_one_that_the_loader_asks_for():
    assert set(FEATURES) >= SUPPORTED


def test_every_aggregate_that_has_an_algorithm_is_supported():
    names = {f"aggregate.{name}" for name in (*FOLDS, *ACCUMULATORS, *MONOIDS)}
    assert names <= SUPPORTED
