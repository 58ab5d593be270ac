from __future__ import annotations

import pytest

from gateway.rules.spec import WindowSpec
from gateway.rules.window_contents import GrowingContents, MovingContents
from gateway.rules.windows import WindowPlan
from tests.harness.aggregate_twins import spec_of


@pytest.mark.parametrize("kind", [MovingContents, GrowingContents])
def test_what_is_packed_goes_on_where_it_was(kind):
    plan = WindowPlan(WindowSpec("tumbling", size_ms=10), [spec_of("sum"), spec_of("max", "m")])
    contents = kind(plan)
    for time_ms, value in enumerate([3, None, 5]):
        contents.push(time_ms, [value, value])
    again = kind(plan)
    again.unpack(contents.pack())
    found: list[dict[str, object]] = [{}, {}]
    for one, results in zip((contents, again), found, strict=True):
        one.push(4, [1, 1])
        one.write(5, results)
    assert found[0] == found[1] == {"x": 9, "m": 5}


def test_what_is_a_sample_to_nobody_is_not_kept():
    contents = MovingContents(WindowPlan(WindowSpec("sliding", size_ms=10), [spec_of("sum")]))
    assert not contents.push(1, ["text"])
    assert list(contents.times) == []
