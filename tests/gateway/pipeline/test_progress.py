from gateway.pipeline.progress import Progress
from gateway.store import StreamSpec
from gateway.store.memory import MemoryStore
from tests.gateway.store.building import numbered


async def test_the_lag_is_what_lies_between_a_reader_and_the_end():
    store = MemoryStore()
    await store.ensure(StreamSpec("telemetry", 2))
    await store.append([numbered(0, 10), numbered(0, 4, partition=1)])
    ends = {("telemetry", 0): 10, ("telemetry", 1): 4, ("other", 0): 7}
    progress = Progress()
    assert progress.lag(ends) == 0
    await store.commit_group("g", 0, offsets={("telemetry", 0): 3})
    await progress.begin(store, "g")
    assert progress.lag(ends) == 7
    chunk = await store.fetch("telemetry", 0, 3, records_max=5)
    progress.note(chunk.batches)
    assert progress.lag(ends) == 2
    await progress.begin(store, "g")
    assert progress.lag(ends) == 2
    await store.close()
