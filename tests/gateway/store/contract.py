"""What every engine of the log promises; each engine's test runs all of it on its own store.

Nothing here may assume that offsets are dense, that a process is alone, or that reading is quick.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.errors import (
    MemberFenced,
    OffsetOutOfRange,
    StoreUnavailable,
    StreamMismatch,
    UnknownStream,
)
from gateway.events import Origin, Run
from gateway.store import Put, Scan, StreamSpec, StreamStore
from tests.gateway.store.building import (
    BASE_MS,
    STREAM,
    a_run,
    assert_in_merge_order,
    copy_of,
    everything,
    numbered,
    payloads_of,
    records_of,
    take,
)


class StoreContract:
    """Subclasses bring a fixture `store`: an open engine without streams, closed afterwards."""

    @pytest.fixture
    async def log(self, store: StreamStore) -> StreamStore:
        await store.ensure(StreamSpec(STREAM, partitions=3))
        return store

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

    async def test_reading_a_stream_that_does_not_exist_is_refused(self, log):
        with pytest.raises(UnknownStream):
            await log.extents("nope")
        with pytest.raises(UnknownStream):
            await log.tail(["nope"], "earliest").next()
        with pytest.raises(UnknownStream):
            await log.join("group", [STREAM, "nope"]).poll()

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

    async def test_a_tail_reads_history_and_then_what_arrives(self, log):
        await log.append([numbered(0, 3)])
        tail = log.tail([STREAM], "earliest")
        assert payloads_of(await take(tail, 3)) == [b"0", b"1", b"2"]
        waiting = asyncio.create_task(tail.next())
        await log.append([numbered(3, 2)])
        assert payloads_of(await waiting) == [b"3", b"4"]

    async def test_a_tail_from_latest_sees_only_what_arrives(self, log):
        await log.append([numbered(0, 3)])
        tail = log.tail([STREAM], "latest")
        await log.append([numbered(3, 2)])
        assert payloads_of(await tail.next()) == [b"3", b"4"]

    async def test_a_tail_begins_at_the_offsets_that_it_is_given(self, log):
        await log.append([numbered(0, 5), numbered(10, 5, partition=1)])
        offsets = [record.offset for record in await everything(log)]
        tail = log.tail([STREAM], {(STREAM, 0): offsets[3]})
        found = records_of(await take(tail, 7))
        assert [r.payload for r in found if r.partition == 0] == [b"3", b"4"]
        assert [r.payload for r in found if r.partition == 1] == [b"%d" % n for n in range(10, 15)]

    async def test_a_tail_merges_streams_and_partitions_in_one_order(self, log):
        await log.ensure(StreamSpec("alerts", 1))
        tail = log.tail([STREAM, "alerts"], "earliest")
        rng = random.Random(7)
        for number in range(60):
            runs = [numbered(number, 2, partition=rng.randrange(3))]
            if rng.random() < 0.3:
                runs.append(numbered(number, 1, stream="alerts"))
            log.append(runs)
            await log.append([numbered(number, 1, partition=rng.randrange(3))])
        _, end = await log.bounds("alerts", 0)
        late = log.tail(["alerts", STREAM], "earliest")
        count = 180 + len(await everything(log, "alerts"))
        early_batches, late_batches = await take(tail, count), await take(late, count)
        assert_in_merge_order(early_batches)
        assert records_of(early_batches) == records_of(late_batches)
        assert end > 0

    async def test_a_tail_leaves_other_streams_out(self, log):
        await log.ensure(StreamSpec("alerts", 1))
        tail = log.tail(["alerts"], "earliest")
        await log.append([numbered(0, 2), numbered(5, 1, stream="alerts")])
        assert payloads_of(await tail.next()) == [b"5"]

    async def test_slow_and_quick_tails_lose_and_repeat_nothing(self, log):
        """Enough is appended for the window of recent commits to move on in between."""
        slow, quick = log.tail([STREAM], "latest"), log.tail([STREAM], "latest")
        payload = b"x" * 2000
        count = 0
        for number in range(120):
            run = a_run(payload + b"%d" % number, b"%d" % number, partition=number % 3)
            await log.append([run])
            count += 2
            if number % 10 == 0:
                assert len(records_of(await take(quick, 20 if number else 2))) <= count
        slow_batches = await take(slow, count)
        assert_in_merge_order(slow_batches)
        last = [int(payload) for payload in payloads_of(slow_batches) if len(payload) < 2000]
        assert last == list(range(120))

    async def test_closing_a_tail_lets_its_reader_go(self, log):
        tail = log.tail([STREAM], "earliest")
        waiting = asyncio.create_task(tail.next())
        await asyncio.sleep(0)
        tail.close()
        assert await waiting == ()
        assert await tail.next() == ()

    async def test_a_cancelled_reader_loses_nothing(self, log):
        tail = log.tail([STREAM], "earliest")
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(tail.next(), 0.001)
        await log.append([numbered(0, 2)])
        assert payloads_of(await tail.next()) == [b"0", b"1"]

    async def test_a_member_goes_on_where_its_group_has_committed(self, log):
        await log.append([numbered(0, 10)])
        member = log.join("rules", [STREAM])
        batches = await member.poll(records_max=4)
        assert payloads_of(batches) == [b"0", b"1", b"2", b"3"]
        await member.commit(offsets={(STREAM, 0): batches[-1].next_offset})
        assert payloads_of(await member.poll(records_max=3)) == [b"4", b"5", b"6"]
        await member.close()
        again = log.join("rules", [STREAM])
        assert payloads_of(await again.poll(records_max=2)) == [b"4", b"5"]
        other = log.join("other", [STREAM])
        assert payloads_of(await other.poll(records_max=1)) == [b"0"]

    async def test_a_group_that_starts_at_the_end_sees_only_what_arrives(self, log):
        await log.append([numbered(0, 3)])
        member = log.join("rules", [STREAM], start="latest")
        await log.append([numbered(3, 1)])
        assert payloads_of(await member.poll()) == [b"3"]

    async def test_outputs_state_and_offsets_are_one_commit(self, log):
        await log.ensure(StreamSpec("alerts", 1))
        await log.append([numbered(0, 2)])
        member = log.join("rules", [STREAM])
        batches = await member.poll()
        appended = await member.commit(
            outputs=[a_run(b"hot", stream="alerts")],
            state=[Put("rules", "pump-1", b"raised")],
            offsets={(STREAM, 0): batches[-1].next_offset},
        )
        chunk = await log.fetch("alerts", 0, appended.base_offsets[0])
        assert payloads_of(chunk.batches) == [b"hot"]
        assert chunk.batches[0].commit_no == appended.commit_no
        assert await log.table("rules").get("pump-1") == b"raised"

    async def test_whoever_joins_fences_the_member_before(self, log):
        await log.append([numbered(0, 2)])
        first = log.join("rules", [STREAM])
        await first.poll()
        second = log.join("rules", [STREAM])
        with pytest.raises(MemberFenced):
            first.commit(state=[Put("rules", "key", b"stale")])
        with pytest.raises(MemberFenced):
            await first.poll()
        assert payloads_of(await second.poll()) == [b"0", b"1"]
        assert await log.table("rules").get("key") is None

    async def test_a_table_keeps_the_last_value_of_each_key(self, log):
        table = log.table("twins")
        assert await table.get("pump-1") is None
        await table.put("pump-1", b"a")
        await table.put("pump-1", b"b")
        await table.put("pump-2", b"")
        await log.table("other").put("pump-1", b"c")
        assert await table.get("pump-1") == b"b"
        assert await table.get("pump-2") == b""
        await table.delete("pump-1")
        await table.delete("never")
        assert await table.items() == [("pump-2", b"")]

    async def test_items_are_those_with_the_prefix_in_order(self, log):
        table = log.table("twins")
        for key in ("b", "aé", "a%", "a", "ab", "A", "_"):
            await table.put(key, key.encode())
        assert [key for key, _ in await table.items("a")] == ["a", "a%", "ab", "aé"]
        assert await table.items("a%") == [("a%", b"a%")]
        assert len(await table.items()) == 7

    async def test_puts_of_an_append_are_applied_in_their_order(self, log):
        puts = [
            Put("t", "k", b"1"),
            Put("t", "k", None),
            Put("t", "k", b"2"),
            Put("t", "gone", None),
        ]
        await log.append([a_run(b"x")], puts)
        assert await log.table("t").items() == [("k", b"2")]
        await log.append([], [Put("t", "k", b"3"), Put("t", "k", None)])
        assert await log.table("t").get("k") is None

    async def test_retention_removes_the_oldest_whole_batches(self, store):
        await store.ensure(StreamSpec(STREAM, 1, retention_count=5))
        for number in range(4):
            await store.append([numbered(3 * number, 3)])
        while await store.retain_step():
            pass
        assert [int(r.payload) for r in await everything(store)] == [9, 10, 11]
        start, end = await store.bounds(STREAM, 0)
        with pytest.raises(OffsetOutOfRange):
            await store.fetch(STREAM, 0, start - 1)
        assert (await store.append([numbered(12, 1)])).base_offsets[0] >= end

    async def test_a_stream_without_limits_keeps_everything(self, store):
        await store.ensure(StreamSpec(STREAM, 1, retention_age_ms=None))
        await store.append([numbered(0, 9, arrival_ms=0)])
        assert await store.retain_step() == 0
        assert len(await everything(store)) == 9

    async def test_a_reader_learns_what_retention_took_from_it(self, store):
        await store.ensure(StreamSpec(STREAM, 1, retention_count=3))
        for number in range(40):
            await store.append([a_run(b"x" * 2000, b"%d" % number)])
        tail = store.tail([STREAM], {(STREAM, 0): 0})
        while await store.retain_step():
            pass
        start, end = await store.bounds(STREAM, 0)
        scan = Scan(store, {(STREAM, 0): 0}, {(STREAM, 0): end})
        scanned = [batch async for batch in scan.batches()]
        for batches, gaps in ((await tail.next(), tail.gaps), (scanned, scan.gaps)):
            assert payloads_of(batches)[-1] == b"39"
            assert [(gap.start_offset, gap.stop_offset, gap.cause) for gap in gaps] == [
                (0, start, "removed")
            ]

    async def test_the_log_end_outlasts_the_last_record(self, store):
        await store.ensure(StreamSpec(STREAM, 1, retention_count=0))
        await store.append([numbered(0, 3, arrival_ms=BASE_MS + 50)])
        _, end = await store.bounds(STREAM, 0)
        assert await store.retain_step() == 1
        assert await store.bounds(STREAM, 0) == (end, end)
        assert await store.offset_at(STREAM, 0, 0) is None
        appended = await store.append([a_run(b"x", arrival_ms=BASE_MS)])
        assert appended.base_offsets[0] >= end
        assert (await everything(store))[0].arrival_ms == BASE_MS + 50

    async def test_a_scan_reads_a_stretch_in_merge_order_and_stops(self, log):
        for number in range(30):
            await log.append(
                [numbered(10 * number, 4), numbered(10 * number, 3, partition=number % 2 + 1)]
            )
        keys = [(STREAM, partition) for partition in range(3)]
        stops = {key: (await log.bounds(*key)).log_end_offset for key in keys}
        stops[STREAM, 0] -= 9
        scan = Scan(log, dict.fromkeys(keys, 5), stops)
        batches = [batch async for batch in scan.batches()]
        assert_in_merge_order(batches)
        expected = {
            record
            for key in keys
            for record in await everything(log, *key)
            if 5 <= record.offset < stops[key]
        }
        assert set(records_of(batches)) == expected
        assert len(records_of(batches)) == len(expected)

    async def test_a_scan_past_the_end_is_refused(self, log):
        scan = Scan(log, {(STREAM, 0): 7}, {(STREAM, 0): 9})
        with pytest.raises(OffsetOutOfRange):
            [batch async for batch in scan.batches()]

    async def test_who_gave_up_waiting_has_stored_all_the_same(self, log):
        append = log.append([numbered(0, 1)])
        append.cancel()
        await log.append([numbered(1, 1)])
        assert [record.payload for record in await everything(log)] == [b"0", b"1"]

    async def test_closing_commits_what_is_queued(self, log):
        appends = [log.append([numbered(number, 1)]) for number in range(5)]
        await log.close()
        assert len({(await appended).base_offsets[0] for appended in appends}) == 5

    async def test_a_closed_store_refuses(self, log):
        await log.close()
        with pytest.raises(StoreUnavailable):
            await log.append([a_run(b"x")])

    async def test_what_waits_is_counted(self, log):
        assert log.queued_bytes == 0
        appended = log.append([a_run(b"x" * 1000)])
        assert log.queued_bytes >= 1000
        await appended
        assert log.queued_bytes == 0
