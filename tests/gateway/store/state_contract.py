"""What every engine promises about tables, retention and its own end."""

from __future__ import annotations

import pytest

from gateway.errors import OffsetOutOfRange, StoreUnavailable
from gateway.store import Put, Scan, StreamSpec
from tests.gateway.store.building import BASE_MS, STREAM, a_run, everything, numbered, payloads_of


class StateContract:
    """Tables, retention, closing."""

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
