from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.spec import SuppressSpec
from gateway.rules.throttles import Throttle

GAPS = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["a", "b", None])), max_size=60)


@settings(max_examples=200, deadline=None)
@given(GAPS, st.integers(0, 15), st.integers(1, 4))
def test_nothing_is_told_more_often_than_its_limits_allow(gaps, cooldown_ms, count):
    spec = SuppressSpec(cooldown_ms, limit_count=count, limit_window_ms=20)
    throttle, now_ms, told = Throttle(spec, 10), 0, []
    for gap, token in gaps:
        now_ms += gap
        same = [at for at, other in told if other == token and token is not None]
        lately = [at for at, _ in told if at > now_ms - 20]
        expected = ""
        if same and now_ms < same[-1] + cooldown_ms:
            expected = "cooldown"
        elif len(lately) >= count:
            expected = "limit"
        else:
            told.append((now_ms, token))
        assert throttle.admit(token, now_ms) == expected
        packed = throttle.pack()
        throttle = Throttle(spec, 10)
        throttle.unpack(packed)


def test_it_remembers_no_more_tokens_than_there_is_room_for():
    throttle = Throttle(SuppressSpec(1_000), 3)
    for number in range(10):
        throttle.admit(f"t{number}", number)
    assert list(throttle.cooled) == ["t7", "t8", "t9"]


def test_without_limits_it_remembers_nothing():
    throttle = Throttle(SuppressSpec(), 3)
    assert {throttle.admit("a", at) for at in range(5)} == {""}
    assert throttle.pack() == [[], []]
