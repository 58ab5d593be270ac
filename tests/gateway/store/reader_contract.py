"""What every engine promises to those who follow the log."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.errors import MemberFenced, OffsetOutOfRange, UnknownStream
from gateway.store import Put, Scan, StreamSpec
from tests.gateway.store.building import (
    STREAM,
    a_run,
    assert_in_merge_order,
    everything,
    numbered,
    payloads_of,
    records_of,
    take,
)


class ReaderContract:
    """Tails, members of groups, scans."""

    async def test_reading_a_stream_that_does_not_exist_is_refused(self, log):
        with pytest.raises(UnknownStream):
            await log.extents("nope")
        with pytest.raises(UnknownStream):
            await log.tail(["nope"], "earliest").next()
        with pytest.raises(UnknownStream):
            await log.join("group", [STREAM, "nope"]).poll()

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
