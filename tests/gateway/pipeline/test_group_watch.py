import asyncio

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.events import Origin, Run
from gateway.pipeline import GroupWatch
from gateway.store import StreamSpec
from gateway.store.memory import MemoryStore
from tests.harness.waiting import until

NOW_MS = 1_000_000


async def store_with_records(count=10):
    store = MemoryStore()
    await store.ensure(StreamSpec("s", 1, retention_age_ms=100_000))
    origins = [Origin("t", "d")] * count
    await store.append([Run("s", 0, "c", NOW_MS, origins, [b"x"] * count, bytes(count))])
    return store


async def test_how_far_groups_are_behind_is_told_with_the_time_to_their_first_loss():
    store = await store_with_records()
    await store.commit_group("slow/+one", 1, offsets={("s", 0): 4})
    await store.commit_group("fast", 1, offsets={("s", 0): 10})
    watch = GroupWatch(store, ManualClock(NOW_MS + 30_000))
    assert watch.figures() == {}
    await watch.look()
    found = dict(watch.figures())
    assert found.pop("groups/slow__one/lag/bytes") > 0
    assert found == {
        "groups/slow__one/lag": 6,
        "groups/slow__one/lag/age": 30,
        "groups/slow__one/lost": 0,
        "groups/slow__one/time_to_loss": 70,
        "groups/fast/lag": 0,
        "groups/fast/lag/bytes": 0,
        "groups/fast/lag/age": 0,
        "groups/fast/lost": 0,
    }
    await store.forget_group("slow/+one")
    await watch.look()
    assert "groups/slow__one/lag" not in watch.figures()


async def test_a_log_that_can_not_be_read_is_looked_at_again(monkeypatch):
    store = await store_with_records()
    await store.commit_group("g", 1, offsets={("s", 0): 4})
    refusals = iter([True])
    groups = store.groups

    async def refusing():
        if next(refusals, False):
            raise StoreUnavailable("no")
        return await groups()

    monkeypatch.setattr(store, "groups", refusing)
    watch = GroupWatch(store, ManualClock(NOW_MS), interval_ms=1)
    running = asyncio.create_task(watch.run())
    await until(lambda: watch.figures(), "a look")
    running.cancel()
    assert watch.figures()["groups/g/lag"] == 6
