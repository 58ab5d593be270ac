"""What every engine promises about appending and fetching."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.errors import OffsetOutOfRange, StreamMismatch, UnknownStream
from gateway.events import Origin, Run
from gateway.store import StreamSpec
from tests.gateway.store.building import (
    BASE_MS,
    STREAM,
    a_run,
    copy_of,
    everything,
    numbered,
    payloads_of,
    records_of,
)


class LogContract:
    """Streams, offsets, limits, moments."""

    async def test_a_stream_is_listed_as_it_was_asked_for(self, store):
        specs = [StreamSpec("b", 2, retention_count=5), StreamSpec("a", 1, durability="os")]
        for spec in specs:
            await store.ensure(spec)
        assert await store.streams() == [specs[1], specs[0]]

    async def test_an_engine_keeps_the_durabilities_that_it_says(self, store):
        for durability in store.caps.durabilities:
            await store.ensure(StreamSpec(durability, 1, durability))
            await store.append([a_run(b"x", stream=durability)])
        assert len(await store.streams()) == len(store.caps.durabilities) > 0

    async def test_ensuring_again_changes_limits_and_keeps_records(self, log):
        await log.append([a_run(b"1")])
        changed = StreamSpec(STREAM, 3, retention_bytes=10_000)
        await log.ensure(changed)
        assert await log.streams() == [changed]
        assert [record.payload for record in await everything(log)] == [b"1"]

    async def test_a_partition_count_never_changes(self, log):
        with pytest.raises(StreamMismatch, match="3 partitions"):
            await log.ensure(StreamSpec(STREAM, partitions=4))

    async def test_what_is_appended_is_fetched_as_it_was(self, log):
        properties = [b"", b"\x01\x01"]
        origins = [Origin("ünïcode/✓", "✓"), Origin("a/b", "b")]
        run = Run(
            STREAM, 1, "client ☂", BASE_MS, origins, [b"\x00\xff", b""], b"\x03\x0e", properties
        )
        appended = await log.append([copy_of(run)])
        records = await everything(log, partition=1)
        assert [record.offset for record in records] == [
            appended.base_offsets[0],
            appended.base_offsets[0] + 1,
        ]
        assert [(r.topic, r.device) for r in records] == [tuple(origin) for origin in origins]
        assert [r.payload for r in records] == run.payloads
        assert bytes(r.flags for r in records) == run.flags
        assert [r.properties for r in records] == properties
        assert {(r.client, r.arrival_ms, r.stream, r.partition) for r in records} == {
            ("client ☂", BASE_MS, STREAM, 1)
        }

    async def test_each_run_learns_the_offset_of_its_first_record(self, log):
        appended = await log.append(
            [numbered(0, 3), numbered(0, 2, partition=1), numbered(3, 4), a_run()]
        )
        first, other, second, _ = appended.base_offsets
        by_offset = {record.offset: record.payload for record in await everything(log)}
        assert (by_offset[first], by_offset[second]) == (b"0", b"3")
        assert (await everything(log, partition=1))[0].offset == other

    async def test_the_order_of_calls_is_the_order_in_the_partition(self, log):
        appends = [log.append([numbered(10 * n, 10)]) for n in range(50)]
        results = await asyncio.gather(*appends)
        assert [int(record.payload) for record in await everything(log)] == list(range(500))
        commit_nos = [appended.commit_no for appended in results]
        assert commit_nos == sorted(commit_nos)

    async def test_offsets_increase(self, log):
        for number in range(5):
            await log.append([numbered(number, 2)])
        offsets = [record.offset for record in await everything(log)]
        assert offsets == sorted(set(offsets))

    async def test_arrival_never_runs_backwards_in_a_partition(self, log):
        for arrival_ms in (5, 3, 9, 1):
            await log.append([a_run(b"x", arrival_ms=arrival_ms)])
        await log.append([a_run(b"x", arrival_ms=2, partition=1)])
        assert [record.arrival_ms for record in await everything(log)] == [5, 5, 9, 9]
        assert [record.arrival_ms for record in await everything(log, partition=1)] == [2]

    async def test_an_append_of_nothing_is_a_commit(self, log):
        appended = await log.append([])
        assert list(appended.base_offsets) == []
        assert await everything(log) == []

    @pytest.mark.parametrize(("stream", "partition"), [("nope", 0), (STREAM, 3), (STREAM, -1)])
    async def test_what_does_not_exist_is_refused(self, log, stream, partition):
        with pytest.raises(UnknownStream):
            log.append([a_run(b"x"), a_run(b"x", stream=stream, partition=partition)])
        for call in (log.bounds(stream, partition), log.offset_at(stream, partition, 0)):
            with pytest.raises(UnknownStream):
                await call
        with pytest.raises(UnknownStream):
            await log.fetch(stream, partition, 0)
        assert await everything(log) == []

    async def test_an_empty_partition_has_equal_bounds(self, log):
        start, end = await log.bounds(STREAM, 2)
        assert start == end
        assert (await log.fetch(STREAM, 2, end)).batches == []

    async def test_extents_say_how_much_there_is(self, log):
        await log.append([numbered(0, 3, arrival_ms=7), numbered(3, 2, arrival_ms=9)])
        first, empty, _ = await log.extents(STREAM)
        assert (first.partition, first.first_ms, first.last_ms) == (0, 7, 9)
        assert (first.log_start_offset, first.log_end_offset) == await log.bounds(STREAM, 0)
        assert first.stored_bytes > 0
        assert (empty.stored_bytes, empty.first_ms, empty.last_ms) == (0, None, None)

    async def test_a_fetch_returns_no_more_records_than_asked(self, log):
        await log.append([numbered(0, 10), numbered(10, 10)])
        chunk = await log.fetch(STREAM, 0, 0, records_max=13)
        assert [int(payload) for payload in payloads_of(chunk.batches)] == list(range(13))
        rest = await log.fetch(STREAM, 0, chunk.next_offset)
        assert [int(payload) for payload in payloads_of(rest.batches)] == list(range(13, 20))

    async def test_a_fetch_stops_before_too_many_bytes(self, log):
        await log.append([a_run(*[b"12345"] * 10)])
        chunk = await log.fetch(STREAM, 0, 0, bytes_max=24)
        assert len(records_of(chunk.batches)) == 4

    async def test_a_fetch_returns_one_record_however_large(self, log):
        await log.append([a_run(b"x" * 5000, b"y")])
        chunk = await log.fetch(STREAM, 0, 0, bytes_max=1)
        assert payloads_of(chunk.batches) == [b"x" * 5000]

    async def test_a_fetch_may_begin_within_a_batch(self, log):
        await log.append([numbered(0, 4), numbered(4, 4)])
        offsets = [record.offset for record in await everything(log)]
        chunk = await log.fetch(STREAM, 0, offsets[5])
        assert payloads_of(chunk.batches) == [b"5", b"6", b"7"]
        assert chunk.batches[0].base_offset == offsets[5]

    async def test_a_fetch_past_the_log_end_is_refused(self, log):
        await log.append([numbered(0, 3)])
        _, end = await log.bounds(STREAM, 0)
        assert (await log.fetch(STREAM, 0, end)).next_offset == end
        with pytest.raises(OffsetOutOfRange):
            await log.fetch(STREAM, 0, end + 1)

    async def test_small_fetches_find_everything_once(self, log):
        for number in range(20):
            await log.append([numbered(7 * number, 7)])
        offset, end = await log.bounds(STREAM, 0)
        found = []
        while offset < end:
            chunk = await log.fetch(STREAM, 0, offset, records_max=4)
            found += payloads_of(chunk.batches)
            offset = chunk.next_offset
        assert [int(payload) for payload in found] == list(range(140))

    async def test_a_moment_is_found_as_by_looking_at_every_record(self, log):
        rng = random.Random(4)
        moments = sorted(rng.randint(0, 300) for _ in range(60))
        for moment in moments:
            await log.append([a_run(b"x", b"y", arrival_ms=moment)])
        records = await everything(log)
        for time_ms in range(-1, 303):
            expected = next((r.offset for r in records if r.arrival_ms >= time_ms), None)
            assert await log.offset_at(STREAM, 0, time_ms) == expected

    async def test_a_moment_within_a_batch_is_found(self, log):
        await log.append([a_run(b"x", arrival_ms=n) for n in (3, 5, 5, 8)])
        offsets = [record.offset for record in await everything(log)]
        found = [await log.offset_at(STREAM, 0, time_ms) for time_ms in (0, 4, 5, 6, 8, 9)]
        assert found == [offsets[0], offsets[1], offsets[1], offsets[3], offsets[3], None]
