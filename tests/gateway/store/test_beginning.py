from __future__ import annotations

from gateway.events import Origin, Run
from gateway.pipeline.evaluate import GROUP
from gateway.store import StreamSpec, begin_at_end, begin_streams_at_end
from gateway.store.memory import MemoryStore


def a_run(payload):
    return Run("telemetry", 0, "c", 1, [Origin("t/d", "d")], [payload], b"\0")


async def test_a_new_group_sees_only_what_comes_after():
    store = MemoryStore()
    await store.ensure(StreamSpec("telemetry", partitions=2))
    await store.append([a_run(b"old")])
    assert await begin_at_end(store, "rules", ["telemetry"])
    await store.append([a_run(b"new")])
    member = store.join("rules", ["telemetry"])
    (batch,) = await member.poll()
    assert [record.payload for record in batch.records()] == [b"new"]
    await member.close()


async def test_a_group_that_has_begun_goes_on_where_it_was():
    store = MemoryStore()
    await store.ensure(StreamSpec("telemetry", partitions=1))
    assert await begin_at_end(store, "rules", ["telemetry"])
    await store.append([a_run(b"unread")])
    assert not await begin_at_end(store, "rules", ["telemetry"])
    member = store.join("rules", ["telemetry"])
    (batch,) = await member.poll()
    assert [record.payload for record in batch.records()] == [b"unread"]
    await member.close()


def test_the_rules_begin_as_the_group_that_they_are():
    from gateway.app import RULES_GROUP

    assert RULES_GROUP == GROUP


async def test_streams_that_a_group_has_never_read_begin_at_their_end():
    store = MemoryStore()
    for name in ("old", "new"):
        await store.ensure(StreamSpec(name, partitions=1))
        await store.append([Run(name, 0, "c", 1, [Origin("t/d", "d")], [b"x"], b"\0")])
    member = store.join("g", ["old"])
    await member.commit(offsets={("old", 0): 0})
    await member.close()
    await begin_streams_at_end(store, "g", ["old", "new"])
    await begin_streams_at_end(store, "g", ["old", "new"])
    (group,) = await store.groups()
    assert dict(group.offsets) == {("old", 0): 0, ("new", 0): 1}
