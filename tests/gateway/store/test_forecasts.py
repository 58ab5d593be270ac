from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store import StreamSpec
from gateway.store.forecasts import (
    Backlog,
    Load,
    backlog_of,
    load_of,
    time_to_loss,
    time_to_loss_ms,
)
from gateway.store.memory import MemoryStore
from tests.gateway.store.building import BASE_MS, STREAM, numbered

STEP_MS = 100
RECORD_BYTES = 10


def lost_after_ms(spec, unread, now_ms, horizon_steps):
    """Play it: one record every step, retention after each, until the first unread one goes."""
    held = list(unread)
    first = held[0]
    for step in range(horizon_steps):
        at_ms = now_ms + step * STEP_MS
        while held and (
            (spec.retention_age_ms is not None and held[0] < at_ms - spec.retention_age_ms)
            or (spec.retention_count is not None and len(held) > spec.retention_count)
            or (
                spec.retention_bytes is not None and len(held) * RECORD_BYTES > spec.retention_bytes
            )
        ):
            held.pop(0)
        if not held or held[0] != first:
            return step * STEP_MS
        held.append(at_ms + STEP_MS)
    return None


@settings(max_examples=150, deadline=None)
@given(
    unread_count=st.integers(1, 40),
    age_steps=st.none() | st.integers(1, 120),
    count=st.none() | st.integers(1, 120),
    size_bytes=st.none() | st.integers(10, 1200),
)
def test_the_forecast_is_when_a_played_retention_takes_the_record(
    unread_count, age_steps, count, size_bytes
):
    spec = StreamSpec(
        STREAM,
        retention_age_ms=None if age_steps is None else age_steps * STEP_MS,
        retention_bytes=size_bytes,
        retention_count=count,
    )
    now_ms = BASE_MS
    unread = [now_ms - STEP_MS * back for back in range(unread_count - 1, -1, -1)]
    load = Load(1000 / STEP_MS, RECORD_BYTES * 1000 / STEP_MS)
    backlog = Backlog(unread[0], len(unread), len(unread) * RECORD_BYTES)
    forecast = time_to_loss_ms(spec, backlog, load, now_ms)
    played = lost_after_ms(spec, unread, now_ms, 400)
    if forecast is None:
        assert played is None
    else:
        assert played is not None
        assert abs(played - forecast) <= 2 * STEP_MS


def test_nothing_unread_is_nothing_to_lose():
    assert time_to_loss_ms(StreamSpec(STREAM), Backlog(None, 0, 0), Load(5, 500), BASE_MS) is None


def test_a_stream_that_is_kept_for_ever_loses_nothing():
    spec = StreamSpec(STREAM, retention_age_ms=None)
    assert time_to_loss_ms(spec, Backlog(BASE_MS, 5, 50), Load(5, 500), BASE_MS) is None


def test_a_limit_by_size_is_never_reached_by_a_stream_that_rests():
    spec = StreamSpec(STREAM, retention_age_ms=None, retention_bytes=1000)
    assert time_to_loss_ms(spec, Backlog(BASE_MS, 5, 50), Load(0, 0), BASE_MS) is None


async def test_a_group_is_forecast_from_the_log_over_all_partitions():
    store = MemoryStore()
    spec = StreamSpec(STREAM, 2, retention_age_ms=None, retention_count=1000)
    await store.ensure(spec)
    for second in range(100):
        for partition in range(2):
            arrival_ms = BASE_MS + second * 1000
            await store.append([numbered(second, 1, partition=partition, arrival_ms=arrival_ms)])
    now_ms = BASE_MS + 100_000
    assert (await load_of(store, spec, now_ms)).records_per_s == 2
    assert (await backlog_of(store, spec, 0, 40)).records == 120
    found = await time_to_loss(store, spec, {0: 40, 1: 100}, now_ms)
    assert found == {0: (1000 - 120) // 2 * 1000, 1: None}


async def test_an_offset_below_the_log_start_counts_from_there():
    store = MemoryStore()
    spec = StreamSpec(STREAM, 1, retention_count=3)
    await store.ensure(spec)
    for number in range(5):
        await store.append([numbered(number, 1)])
    while await store.retain_step():
        pass
    assert (await backlog_of(store, spec, 0, 0)).records == 3
