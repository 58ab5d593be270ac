"""What every engine promises of streams that keep the last record of each key."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import StreamInvalid, UnknownStream
from gateway.events import Origin, Run
from gateway.store import StreamSpec
from tests.gateway.store.building import (
    BASE_MS,
    STREAM,
    assert_in_merge_order,
    everything,
    records_of,
    take,
)

LATEST = "latest-values"
FOREVER_MS = 10**15
LATEST_SPEC = StreamSpec(
    LATEST, 2, retention_age_ms=None, compact_by="device", tombstones_ms=FOREVER_MS
)


def readings(*pairs, partition=0, stream=LATEST, arrival_ms=BASE_MS):
    """One run of a value for each (device, payload)."""
    origins = [Origin(f"plant/{device}/t", device) for device, _ in pairs]
    payloads = [payload for _, payload in pairs]
    return Run(stream, partition, "c", arrival_ms, origins, payloads, bytes(len(pairs)))


def last_values(records):
    """The last value of each device, as a full replay ends; None for what was removed."""
    values = {record.device: record.payload or None for record in records}
    return {device: value for device, value in values.items() if value is not None}


async def compact(log, stream=LATEST):
    while await log.compact_step(stream):
        pass


class CompactionContract:
    """Compaction removes what is replaced, and nothing else that anybody can see changes."""

    @pytest.fixture
    async def latest(self, log):
        await log.ensure(LATEST_SPEC)
        for turn in range(30):
            pairs = [(f"pump-{turn * 7 % 5}", b"%d" % turn), (f"pump-{turn % 3}", b"x%d" % turn)]
            await log.append([readings(*pairs), readings(("other", b"%d" % turn), partition=1)])
        return log

    async def test_the_last_value_of_each_key_is_that_of_a_full_replay(self, latest):
        before = await everything(latest, LATEST)
        await compact(latest)
        after = await everything(latest, LATEST)
        assert last_values(after) == last_values(before)
        assert len(after) <= len({record.device for record in before}) + 2 < len(before)
        assert set(after) <= set(before)
        assert latest.caps.compaction

    async def test_offsets_and_bounds_stay_as_they_were(self, latest):
        before = [await latest.bounds(LATEST, partition) for partition in range(2)]
        await compact(latest)
        assert [await latest.bounds(LATEST, partition) for partition in range(2)] == before
        appended = await latest.append([readings(("new", b"1"))])
        assert appended.base_offsets[0] >= before[0].log_end_offset

    async def test_a_reader_may_begin_at_an_offset_that_is_gone(self, latest):
        await compact(latest)
        left = await everything(latest, LATEST)
        start, end = await latest.bounds(LATEST, 0)
        for offset in range(start, end):
            chunk = await latest.fetch(LATEST, 0, offset)
            assert records_of(chunk.batches) == [own for own in left if own.offset >= offset]
            assert not chunk.gaps

    async def test_the_merge_order_stays_as_it_was(self, latest):
        before = records_of(await take(latest.tail([LATEST], "earliest"), 90))
        await compact(latest)
        left = [
            record
            for partition in range(2)
            for record in await everything(latest, LATEST, partition)
        ]
        tail = latest.follow({(LATEST, 0): 0, (LATEST, 1): 0})
        batches = await take(tail, 1)
        while sum(batch.count for batch in batches) < len(left):
            batches += await tail.next()
        assert_in_merge_order(batches)
        places = {record: place for place, record in enumerate(before)}
        found = [places[record] for record in records_of(batches) if record in set(left)]
        assert found == sorted(found)
        assert not tail.gaps

    async def test_a_group_that_is_behind_still_sees_what_survives(self, latest):
        member = latest.join("slow", [LATEST])
        first = await member.poll(records_max=3)
        await member.commit(offsets={(LATEST, 0): first[0].next_offset})
        await member.close()
        await compact(latest)
        again = latest.join("slow", [LATEST])
        left = {
            record
            for partition in range(2)
            for record in await everything(latest, LATEST, partition)
            if record.partition or record.offset >= first[0].next_offset
        }
        seen = set()
        while not left <= seen:
            seen |= set(records_of(await asyncio.wait_for(again.poll(), 10)))
            assert not again.gaps

    async def test_what_has_no_payload_stays_for_a_while(self, latest):
        await latest.append([readings(("pump-1", b""))])
        await latest.append([readings(("filler", b"1"))])
        await compact(latest)
        left = await everything(latest, LATEST)
        assert [record.payload for record in left if record.device == "pump-1"] == [b""]

    async def test_compacting_again_changes_nothing(self, latest):
        await compact(latest)
        once = await everything(latest, LATEST)
        await compact(latest)
        assert await everything(latest, LATEST) == once
        assert await latest.compact_step(LATEST) == 0

    async def test_moments_are_found_among_what_is_left(self, log):
        await log.ensure(LATEST_SPEC)
        for moment in range(0, 100, 5):
            await log.append([readings((f"pump-{moment % 3}", b"1"), arrival_ms=BASE_MS + moment)])
        await compact(log)
        left = await everything(log, LATEST)
        for moment in range(-1, 100):
            time_ms = BASE_MS + moment
            expected = next((own.offset for own in left if own.arrival_ms >= time_ms), None)
            assert await log.offset_at(LATEST, 0, time_ms) == expected

    async def test_keys_may_be_topics(self, log):
        await log.ensure(
            StreamSpec(
                LATEST, 1, retention_age_ms=None, compact_by="topic", tombstones_ms=FOREVER_MS
            )
        )
        for turn in range(6):
            origins = [Origin(f"plant/pump/{turn % 2}", "pump")]
            await log.append([Run(LATEST, 0, "c", BASE_MS, origins, [b"%d" % turn], b"\x00")])
        await compact(log)
        left = await everything(log, LATEST)
        assert [record.payload for record in left][-2:] == [b"4", b"5"]
        assert len(left) <= 3

    async def test_other_streams_keep_everything(self, latest):
        await latest.append([readings(("pump-1", b"1"), ("pump-1", b"2"), stream=STREAM)])
        await compact(latest)
        while await latest.compact_step():
            pass
        assert len(await everything(latest, STREAM)) == 2
        with pytest.raises(StreamInvalid, match="keeps every record"):
            await latest.compact_step(STREAM)
        with pytest.raises(UnknownStream):
            await latest.compact_step("nope")

    async def test_limits_that_count_what_is_gone_are_refused(self, log):
        for limits in ({"retention_bytes": 1 << 20}, {"retention_count": 10}):
            with pytest.raises(StreamInvalid, match="only its age"):
                await log.ensure(StreamSpec("odd", 1, compact_by="topic", **limits))
