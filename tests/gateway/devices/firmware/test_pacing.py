from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import ChunkPacing, ChunkWish, OtaOptions

OPTIONS = OtaOptions(
    bytes_per_s=10_000, device_bytes_per_s=4_000, waiting_max=4, waiting_total_max=6, devices_max=3
)
NOW_MS = 1_800_000_000_000


def ask(pacing, device, count, size_bytes=1_000, now_ms=NOW_MS):
    for number in range(count):
        pacing.add(device, ChunkWish(number, size_bytes), now_ms)


def served(pacing, now_ms):
    return [(device, wish.offset) for device, wish in pacing.take(now_ms, 1_000)]


def test_a_second_may_be_saved_up_and_the_rest_waits_for_its_turn():
    pacing = ChunkPacing(OtaOptions(10_000, 4_000))
    ask(pacing, "a", 7)
    assert served(pacing, NOW_MS) == [("a", number) for number in range(5)]
    assert pacing.due_ms() == NOW_MS + 250
    assert served(pacing, NOW_MS + 249) == []
    assert served(pacing, NOW_MS + 500) == [("a", 5), ("a", 6)]
    assert pacing.due_ms() is None


def test_a_device_with_too_many_open_requests_is_not_heard_further():
    pacing = ChunkPacing(OPTIONS)
    ask(pacing, "a", 9)
    ask(pacing, "b", 9)
    assert pacing.dropped == 12
    assert len(served(pacing, NOW_MS + 60_000)) == 6
    ask(pacing, "a", 1, now_ms=NOW_MS + 60_000)
    assert pacing.dropped == 12


def test_one_device_does_not_hold_up_another():
    pacing = ChunkPacing(OtaOptions(1_000_000, 1_000))
    ask(pacing, "greedy", 5)
    ask(pacing, "modest", 1)
    assert ("modest", 0) in served(pacing, NOW_MS)


def test_a_clock_that_is_set_back_holds_nothing_up():
    pacing = ChunkPacing(OPTIONS)
    ask(pacing, "a", 3)
    pacing.take(NOW_MS + 60_000, 10)
    ask(pacing, "a", 1, now_ms=NOW_MS - 10**11)
    assert pacing.due_ms() == NOW_MS - 10**11


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(1, 2_000), st.integers(0, 400)),
        max_size=60,
    )
)
def test_no_second_brings_a_device_more_than_two_seconds_worth(requests):
    pacing, now_ms = ChunkPacing(OPTIONS), NOW_MS
    sent: list[tuple[int, str, int]] = []
    for device, size_bytes, pause_ms in requests:
        now_ms += pause_ms
        pacing.add(device, ChunkWish(0, size_bytes), now_ms)
        sent += [(now_ms, name, wish.size_bytes) for name, wish in pacing.take(now_ms, 100)]
    for start_ms, _, _ in sent:
        within = [one for one in sent if start_ms <= one[0] < start_ms + 1_000]
        assert sum(size for _, _, size in within) <= 2 * OPTIONS.bytes_per_s + 2_000
