from __future__ import annotations

import pytest

from gateway.errors import DocumentInvalid
from gateway.rules.features import FEATURES
from gateway.rules.supported import SUPPORTED
from tests.harness.rule_runs import rules_of


def test_the_engine_claims_nothing_that_the_language_lacks():
    assert SUPPORTED <= FEATURES


@pytest.mark.parametrize(
    "parts",
    [
        "anomaly: {value: payload.x, method: contextual}",
    ],
)
def test_a_rule_that_asks_for_more_is_refused(parts):
    with pytest.raises(DocumentInvalid):
        rules_of(f"- {{id: r, from: a, key: device, {parts}}}")
