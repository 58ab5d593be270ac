from __future__ import annotations

from gateway.rules.features import FEATURES
from gateway.rules.supported import SUPPORTED


def test_the_engine_runs_the_whole_language_and_claims_nothing_that_it_lacks():
    assert SUPPORTED == FEATURES
