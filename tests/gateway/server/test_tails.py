from __future__ import annotations

from gateway.server.tails import Tails
from gateway.store import StreamSpec
from gateway.store.memory import MemoryStore


async def test_who_reads_is_interrupted_when_streams_are_added():
    store = MemoryStore()
    for name in ("a", "b"):
        await store.ensure(StreamSpec(name, partitions=1))
    tails = Tails(store, [("a", 0)])
    tail = tails.open({("a", 0): 0})
    before = tails.streams
    assert await tails.extend([("a", 0), ("b", 0)]) == {("b", 0): 0}
    assert list(await tail.next()) == []
    assert tails.streams == ["a", "b"] != before
    assert tails.starts == {("b", 0): 0}
    tails.close(tail)


async def test_what_is_known_interrupts_nobody():
    store = MemoryStore()
    await store.ensure(StreamSpec("a", partitions=1))
    tails = Tails(store, [("a", 0)])
    before = tails.streams
    assert await tails.extend([("a", 0)]) == {}
    assert tails.streams is before
