import pytest

from gateway.clock import ManualClock
from gateway.events import Origin, Run
from gateway.pipeline.wear import SAVE_MS, WearCounters, WearWatch
from gateway.store import StreamSpec, WearOptions, WearTotals, read_wear
from gateway.store.memory import MemoryStore

MIB = 1 << 20


class Flash:
    """Counters that a test turns by hand."""

    def __init__(self):
        self.process_bytes = 1000
        self.device_bytes = 9000

    def counters(self):
        return WearCounters(lambda: self.process_bytes, lambda _: self.device_bytes)


@pytest.fixture
async def store():
    store = MemoryStore()
    await store.ensure(StreamSpec("alerts", 1))
    return store


async def watch_of(store, flash, tmp_path, clock, options=None):
    watch = WearWatch(store, clock, tmp_path, options or WearOptions(), flash.counters())
    await watch.start()
    return watch


async def test_totals_go_on_over_restarts(store, tmp_path):
    flash, clock = Flash(), ManualClock(5)
    for _ in range(2):
        watch = await watch_of(store, flash, tmp_path, clock)
        flash.process_bytes += 500
        flash.device_bytes += 700
        clock.advance(SAVE_MS)
        await watch.look()
    totals = await read_wear(store)
    assert totals == watch.totals
    assert (totals.running_ms, totals.written_bytes, totals.device_bytes) == (
        2 * SAVE_MS,
        1000,
        1400,
    )


async def test_what_was_accepted_is_what_the_store_has_committed(store, tmp_path):
    flash, clock = Flash(), ManualClock(5)
    watch = await watch_of(store, flash, tmp_path, clock)
    await store.append([Run("alerts", 0, "c", 0, [Origin("t", "d")] * 2, [b"abc", b"d"], b"\0\0")])
    await watch.look()
    assert (watch.totals.accepted_events, watch.totals.accepted_bytes) == (2, 4)
    assert await read_wear(store) == WearTotals()


async def test_a_budget_that_is_used_up_widens_the_window_and_warns_once(store, tmp_path):
    flash, clock, widened = Flash(), ManualClock(5), []
    store.widen = widened.append
    watch = await watch_of(store, flash, tmp_path, clock, WearOptions(write_budget_bytes=8 * MIB))
    for _ in range(4):
        flash.process_bytes += 4 * MIB
        clock.advance(10_000)
        await watch.look()
    assert widened == [2, 4, 8, 16]
    chunk = await store.fetch("alerts", 0, 0)
    (record,) = [record for batch in chunk.batches for record in batch.records()]
    assert record.topic == "alerts/gateway/write-budget"
    assert b"12 MiB were written" in record.payload


async def test_the_window_narrows_when_little_is_written(store, tmp_path):
    flash, clock, widened = Flash(), ManualClock(5), []
    store.widen = widened.append
    watch = await watch_of(store, flash, tmp_path, clock, WearOptions(write_budget_bytes=800 * MIB))
    for grown in (4 * MIB, 4 * MIB, 0, 0, 0):
        flash.process_bytes += grown
        clock.advance(10_000)
        await watch.look()
    assert widened == [2, 4, 2, 1, 1]


async def test_a_forecast_needs_a_card(store, tmp_path):
    flash, clock = Flash(), ManualClock(5)
    assert (await watch_of(store, flash, tmp_path, clock)).forecast is None
    watch = await watch_of(
        store, flash, tmp_path, clock, WearOptions(card_endurance_bytes=1000 * MIB)
    )
    flash.device_bytes += MIB
    clock.advance(86_400_000)
    await watch.look()
    assert watch.forecast.days_left == pytest.approx(999)


async def test_figures_are_those_that_are_known(store, tmp_path):
    flash, clock = Flash(), ManualClock(5)
    options = WearOptions(write_budget_bytes=10 * MIB, card_endurance_bytes=1_001_000)
    watch = await watch_of(store, flash, tmp_path, clock, options)
    assert set(watch.figures()) == {
        "wear/written/bytes",
        "wear/accepted/bytes",
        "wear/budget/spent_bytes",
        "wear/stretch",
    }
    await store.append([Run("alerts", 0, "c", 0, [Origin("t", "d")], [b"x" * 500], b"\0")])
    flash.process_bytes += 1_000
    clock.advance(864_000)
    await watch.look()
    assert watch.figures() == {
        "wear/written/bytes": 1_000,
        "wear/accepted/bytes": 500,
        "wear/ratio": 2.0,
        "wear/bytes_per_day": 100_000,
        "wear/days_left": 10.0,
        "wear/used_ratio": 0.000999,
        "wear/budget/spent_bytes": 1_000,
        "wear/stretch": 1.0,
    }
