from dataclasses import FrozenInstanceError

import pytest

from gateway.rules.spec import AggregateSpec
from tests.harness.rule_files import load_one


def test_aggregates_of_equal_signature_can_share_their_state():
    rule = load_one(
        """
        - id: a
          from: t
          window: {sliding: 5m}
          aggregate: {one: avg(payload.x), two: avg( payload.x ), other: sum(payload.x)}
          when: one > 1
        """
    )
    one, two, other = rule.aggregates
    assert one.signature == two.signature
    assert one.signature != other.signature


def test_specs_do_not_change():
    with pytest.raises(FrozenInstanceError):
        AggregateSpec("a", "count").name = "b"
