import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store import GroupOffsets, StreamSpec
from gateway.store.groups.lag import lags_of, shortest
from gateway.store.memory import MemoryStore
from tests.gateway.store.building import STREAM, a_run, everything

MINUTE_MS = 60_000


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=8), st.integers(0, 40))
async def test_lag_is_what_counting_finds(sizes, offset):
    log = MemoryStore()
    await log.ensure(StreamSpec(STREAM, 1, retention_age_ms=100_000))
    for number, size in enumerate(sizes):
        await log.append([a_run(*[b"x"] * size, arrival_ms=1000 * number)])
    offset = min(offset, sum(sizes))
    (lag,) = await lags_of(log, GroupOffsets("g", 1, {(STREAM, 0): offset}), 50_000)
    left = [record for record in await everything(log) if record.offset >= offset]
    assert (lag.records, lag.log_end_offset) == (len(left), sum(sizes))
    assert lag.age_ms == (50_000 - left[0].arrival_ms if left else None)
    assert lag.time_to_loss_ms == (left[0].arrival_ms + 50_000 if left else None)
    await log.close()


async def test_the_loss_is_foreseen_ten_minutes_before_it_comes():
    """At a constant rate, against what retention then does."""
    log = MemoryStore()
    await log.ensure(StreamSpec(STREAM, 1, retention_age_ms=None, retention_count=100))
    group = GroupOffsets("g", 1, {(STREAM, 0): 0})
    foreseen_ms = lost_ms = None
    for minute in range(200):
        now_ms = minute * MINUTE_MS
        await log.append([a_run(b"x", b"y", arrival_ms=now_ms)])
        while await log.retain_step():
            pass
        if (await log.bounds(STREAM, 0)).log_start_offset > 0:
            lost_ms = now_ms
            break
        (lag,) = await lags_of(log, group, now_ms)
        # The rate is that of ten minutes, so before those it is a guess.
        left_ms = lag.time_to_loss_ms
        if (
            foreseen_ms is None
            and minute > 15
            and left_ms is not None
            and left_ms <= 12 * MINUTE_MS
        ):
            foreseen_ms = now_ms
    assert lost_ms - foreseen_ms >= 10 * MINUTE_MS
    assert lost_ms - foreseen_ms <= 15 * MINUTE_MS
    await log.close()


async def test_what_is_lost_is_counted_and_streams_that_are_gone_are_left_out():
    log = MemoryStore()
    await log.ensure(StreamSpec(STREAM, 1, retention_count=1))
    for _ in range(5):
        await log.append([a_run(b"x")])
    while await log.retain_step():
        pass
    group = GroupOffsets("g", 1, {(STREAM, 0): 1, ("gone", 0): 3})
    (lag,) = await lags_of(log, group, 0)
    assert (lag.lost_records, lag.records) == (3, 1)
    await log.close()


@pytest.mark.parametrize(("times_ms", "least"), [([], None), ([None], None), ([3, None, 2], 2)])
def test_the_shortest_known_time(times_ms, least):
    assert shortest(times_ms) == least
