"""The retention loop against the in-memory engine."""

import asyncio
import contextlib

import orjson
import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.events import Origin, Run
from gateway.pipeline import Retention, RetentionOptions
from gateway.store import StoreOptions, StreamSpec, open_store
from gateway.store.memory import MemoryStore


async def filled_store(records: int, kept: int) -> MemoryStore:
    store = MemoryStore()
    await store.ensure(StreamSpec("s", partitions=1, retention_count=kept))
    for number in range(records):
        payload = str(number).encode()
        await store.append([Run("s", 0, "c", number, [Origin("t", "d")], [payload], b"\x00")])
    return store


async def test_what_exceeds_a_limit_goes_oldest_first_in_steps():
    store = await filled_store(50, kept=10)
    retention = Retention(store, RetentionOptions(pause_ms=0))
    await retention.catch_up()
    bounds = await store.bounds("s", 0)
    assert (bounds.log_start_offset, bounds.log_end_offset) == (40, 50)
    assert retention.removed_batches == 40


async def test_a_stream_within_its_limits_is_left_alone():
    store = await filled_store(10, kept=10)
    retention = Retention(store, RetentionOptions(pause_ms=0))
    await retention.catch_up()
    assert (await store.bounds("s", 0)).log_start_offset == 0
    assert retention.removed_batches == 0


async def test_a_disk_that_refuses_is_tried_again_at_the_next_interval():
    store = await filled_store(3, kept=1)
    step = store.retain_step
    refusals = iter([True, True, False])

    async def refusing_step() -> int:
        if next(refusals, False):
            raise StoreUnavailable("no")
        return await step()

    store.retain_step = refusing_step
    retention = Retention(store, RetentionOptions(interval_ms=1, pause_ms=0))
    running = asyncio.create_task(retention.run())
    async with asyncio.timeout(10):
        while (await store.bounds("s", 0)).log_start_offset < 2:
            await asyncio.wait([running], timeout=0.002)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert retention.removed_batches == 2


async def alerted(store):
    chunk = await store.fetch("alerts", 0, 0)
    return [record.payload for batch in chunk.batches for record in batch.records()]


async def store_with_a_group(behind, unread):
    """A stream that keeps 1,000 records, one a second, with a group that has `unread` before it."""
    store = MemoryStore()
    await store.ensure(StreamSpec("alerts", partitions=1))
    spec = StreamSpec("s", 1, retention_age_ms=None, retention_count=1_000, behind=behind)
    await store.ensure(spec)
    for second in range(900):
        origins = [Origin("t", "d")]
        await store.append([Run("s", 0, "c", second * 1_000, origins, [b"x"], b"\x00")])
    member = store.join("slow", ["s"])
    await member.poll()
    await member.commit(offsets={("s", 0): 900 - unread})
    return store, ManualClock(900_000)


async def test_a_group_is_warned_once_well_before_its_first_loss():
    store, clock = await store_with_a_group("alert", unread=300)
    retention = Retention(store, clock=clock)
    for _ in range(3):
        await retention.warn()
    (payload,) = await alerted(store)
    assert b"group 'slow' loses records of 's' in 700 s" in payload
    assert orjson.loads(payload)["rule"] == "gateway/retention"


async def test_a_group_with_time_left_is_not_warned_and_one_that_recovers_is_warned_anew():
    store, clock = await store_with_a_group("alert", unread=10)
    retention = Retention(store, clock=clock)
    await retention.warn()
    assert await alerted(store) == []
    member = store.join("slow", ["s"])
    for offset in (500, 890, 500):
        await member.commit(offsets={("s", 0): offset})
        await retention.warn()
    assert len(await alerted(store)) == 2


async def test_a_stream_that_only_drops_warns_nobody():
    store, clock = await store_with_a_group("drop", unread=300)
    await Retention(store, clock=clock).warn()
    assert await alerted(store) == []


@pytest.mark.parametrize(
    "limit",
    [{"retention_age_ms": 3_600_000}, {"retention_count": 3_600}, {"retention_bytes": 9_000}],
    ids=["age", "count", "size"],
)
async def test_a_group_is_warned_ten_minutes_before_its_first_loss(tmp_path, limit):
    """At a constant rate, one record a second, by a loop on virtual time."""
    clock = ManualClock(10**12)
    store = await open_store(StoreOptions(tmp_path), clock)
    await store.ensure(StreamSpec("alerts", partitions=1))
    await store.ensure(StreamSpec("s", 1, **{"retention_age_ms": None, **limit}, behind="alert"))
    await store.commit_group("slow", 1, offsets={("s", 0): 0})
    retention = Retention(store, clock=clock)
    warned_ms = None
    while (await store.bounds("s", 0)).log_start_offset == 0:
        clock.advance(60_000)
        origins = [Origin("t", "d")] * 60
        await store.append([Run("s", 0, "c", clock.now_ms(), origins, [b"x"] * 60, bytes(60))])
        await retention.warn()
        if warned_ms is None and (await store.bounds("alerts", 0)).log_end_offset:
            warned_ms = clock.now_ms()
        await retention.catch_up()
    await store.close()
    assert warned_ms is not None
    assert clock.now_ms() - warned_ms >= 600_000
