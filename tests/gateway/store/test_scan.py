from gateway.store import Scan, StreamSpec
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Chunk
from tests.gateway.store.building import STREAM, numbered, payloads_of, records_of

KEY = (STREAM, 0)


async def test_a_hole_at_the_stop_does_not_lead_past_it():
    store = MemoryStore(hole=3)
    await store.ensure(StreamSpec(STREAM, 1))
    for number in range(4):
        await store.append([numbered(2 * number, 2)])
    scan = Scan(store, {KEY: 0}, {KEY: 11})
    offsets = [record.offset async for batch in scan.batches() for record in records_of([batch])]
    assert offsets == [0, 1, 5, 6, 10]


async def test_partitions_that_only_one_side_names_are_left_out():
    store = MemoryStore()
    await store.ensure(StreamSpec(STREAM, 2))
    await store.append([numbered(0, 2), numbered(5, 2, partition=1)])
    scan = Scan(store, {KEY: 0, (STREAM, 1): 0}, {KEY: 2})
    assert [p async for batch in scan.batches() for p in payloads_of([batch])] == [b"0", b"1"]


async def test_a_reader_that_gets_no_further_ends_the_scan():
    class Stuck:
        async def fetch(self, stream, partition, offset, **limits):
            return Chunk(stream, partition, [], offset)

    scan = Scan(Stuck(), {KEY: 0}, {KEY: 5})
    assert [batch async for batch in scan.batches()] == []


async def test_a_place_between_batches_leads_to_the_next():
    store = MemoryStore(hole=4)
    await store.ensure(StreamSpec(STREAM, 1))
    await store.append([numbered(0, 1)])
    await store.append([numbered(1, 1)])
    scan = Scan(store, {KEY: 2}, {KEY: 4})
    assert [batch async for batch in scan.batches()] == []
    scan = Scan(store, {KEY: 2}, {KEY: 6})
    assert [p async for batch in scan.batches() for p in payloads_of([batch])] == [b"1"]
