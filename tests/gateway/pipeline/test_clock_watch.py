from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.pipeline.clock_watch import ClockWatch
from gateway.store import CLOCK_TABLE, Correction, read_corrections
from gateway.store.memory import MemoryStore


async def test_a_clock_that_is_set_by_ntp_leaves_a_step_and_a_correction():
    store, clock = MemoryStore(), ManualClock(1_000)
    clock.doubt()
    watch = ClockWatch(store, clock, "boot-1")
    for _ in range(3):
        await watch.look()
        clock.advance(1_000)
    clock.step(500_000)
    clock.doubt(is_right=True)
    for _ in range(3):
        await watch.look()
        clock.advance(1_000)
    assert await read_corrections(store) == [Correction("boot-1", 1_000, 3_000, 500_000)]
    steps = await store.entries(CLOCK_TABLE, "step/")
    assert [b'"is_right":true' in value for _, value in steps] == [False, True]


async def test_what_the_disk_refuses_is_written_with_the_next_look(monkeypatch):
    store, clock = MemoryStore(), ManualClock(1_000)
    clock.doubt()
    watch = ClockWatch(store, clock, "boot-1")
    await watch.look()
    clock.step(500_000)
    clock.doubt(is_right=True)
    append = store.append

    def refuse(*_):
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "append", refuse)
    try:
        await watch.look()
    except StoreUnavailable:
        monkeypatch.setattr(store, "append", append)
    await watch.look()
    assert len(await read_corrections(store)) == 1
