import orjson

from gateway.clock import ManualClock
from gateway.errors import StoreDamaged, StoreUnavailable
from gateway.pipeline.scrub import FIRST_PAUSE_MS, PAUSE_MS_MAX, PAUSE_MS_MIN, Scrub, ScrubOptions
from gateway.store import DAY_MS, SCRUB_TABLE, DamagedBatch, Scrubbed, StreamSpec
from gateway.store.memory import MemoryStore
from tests.gateway.store.building import BASE_MS, numbered

MIB = 1 << 20
BATCH = DamagedBatch(512, "telemetry", 0, 40, 50)


class ScriptedStore(MemoryStore):
    """A store whose steps are written beforehand."""

    def __init__(self, *steps):
        super().__init__()
        self._steps = list(steps)
        self.asked = []

    async def scrub_step(self, position):
        self.asked.append(position)
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


async def a_scrub(*steps):
    store = ScriptedStore(*steps)
    await store.ensure(StreamSpec("alerts", 1))
    await store.ensure(StreamSpec("telemetry", 1))
    return store, Scrub(store, ManualClock(BASE_MS), ScrubOptions())


async def alerts_of(store):
    chunk = await store.fetch("alerts", 0, 0)
    return [orjson.loads(record.payload) for batch in chunk.batches for record in batch.records()]


async def test_steps_go_on_where_the_last_one_stopped_and_begin_again_at_the_end():
    store, scrub = await a_scrub(Scrubbed(7, MIB), Scrubbed(9, MIB), Scrubbed(0, MIB))
    for _ in range(3):
        await scrub.step()
    assert store.asked == [0, 7, 9]
    assert (scrub.position, scrub.passes) == (0, 1)
    assert await alerts_of(store) == []


async def test_where_it_stands_outlives_a_restart():
    store, scrub = await a_scrub(Scrubbed(0, MIB), Scrubbed(5, MIB))
    await scrub.step()
    later = Scrub(store, ManualClock(BASE_MS), ScrubOptions())
    await later.start()
    assert (later.position, later.passes) == (0, 1)
    await store.table(SCRUB_TABLE).put("progress", b"rubbish")
    await later.start()


async def test_damaged_batches_are_told_as_an_alert():
    store, scrub = await a_scrub(Scrubbed(9, MIB, [BATCH]))
    await scrub.step()
    (alert,) = await alerts_of(store)
    assert (alert["rule"], alert["severity"]) == ("gateway/store-damaged", "major")
    assert "telemetry/0 40 to 49" in alert["message"]
    assert scrub.damaged == 1


async def test_a_broken_file_is_told_and_read_anew():
    store, scrub = await a_scrub(Scrubbed(9, MIB), StoreDamaged("penstock.db is damaged"))
    await scrub.step()
    await scrub.step()
    (alert,) = await alerts_of(store)
    assert (alert["severity"], scrub.position) == ("critical", 0)


async def test_a_disk_that_refuses_is_asked_again():
    _, scrub = await a_scrub(Scrubbed(9, MIB), StoreUnavailable("no"))
    await scrub.step()
    await scrub.step()
    assert scrub.position == 9


async def test_a_pass_is_spread_over_its_time():
    steps = [Scrubbed(9, 10 << 30), Scrubbed(9, 0), Scrubbed(9, 1 << 50)]
    _, scrub = await a_scrub(*steps)
    assert scrub.pause_ms() == FIRST_PAUSE_MS
    await scrub.step()
    assert scrub.pause_ms() == 7 * DAY_MS // (1 + (10 << 11))
    await scrub.step()
    assert scrub.pause_ms() == PAUSE_MS_MAX
    await scrub.step()
    assert scrub.pause_ms() == PAUSE_MS_MIN


async def test_nothing_is_read_while_much_arrives():
    store, _ = await a_scrub()
    clock = ManualClock(BASE_MS)
    scrub = Scrub(store, clock, ScrubOptions())
    clock.advance(1_000)
    await store.append([numbered(0, 1_500)])
    assert scrub.is_busy()
    clock.advance(1_000)
    assert not scrub.is_busy()
