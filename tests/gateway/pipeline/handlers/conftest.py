import asyncio
import contextlib

import pytest

from gateway.clock import SystemClock
from gateway.events import Origin, Run
from gateway.functions import FunctionSpec
from gateway.pipeline import Surroundings, no_puts
from gateway.pipeline.handlers.loop import HandlerLoop
from gateway.store import GroupDesk, StreamSpec
from gateway.store.memory import MemoryStore
from tests.gateway.pipeline.handlers.functions_of_tests import SOURCE

MODULE = "functions_for_handlers"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return tmp_path


@pytest.fixture
def spec_of(folder):
    def spec_of(function, **settings):
        own = {"name": "h", "start": "earliest", "backoff_ms": 1, "tries_max": 2, **settings}
        return FunctionSpec(call=f"{MODULE}:{function}", folder=folder, **own)

    return spec_of


@pytest.fixture
async def store():
    store = MemoryStore()
    for name in ("telemetry", "alerts", "dead-letters"):
        await store.ensure(StreamSpec(name, 2 if name == "telemetry" else 1))
    yield store
    await store.close()


def run_of(device, *payloads, partition=0, client="c"):
    origins = [Origin(f"plant/{device}/level", device)] * len(payloads)
    return Run("telemetry", partition, client, 1_000, origins, list(payloads), bytes(len(payloads)))


async def records(store, stream="telemetry", topic=""):
    found = []
    for extent in await store.extents(stream):
        chunk = await store.fetch(stream, extent.partition, 0)
        found += [one for batch in chunk.batches for one in batch.records()]
    return [one for one in found if one.topic.startswith(topic)]


def route(topic):
    return "telemetry", 1, Origin(topic, topic.split("/")[-1])


class Shop:
    """Handlers on one store, life after life."""

    def __init__(self, store):
        self.store = store
        self.desk = GroupDesk(store, SystemClock())

    @contextlib.asynccontextmanager
    async def at_work(self, spec):
        around = Surroundings(self.store, self.desk, route, no_puts, SystemClock())
        loop = HandlerLoop(spec, around)
        running = asyncio.create_task(loop.run())
        try:
            yield loop
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await loop.stop()

    def restart(self):
        """Forget what was in memory, as a gateway that was killed does."""
        self.desk = GroupDesk(self.store, SystemClock())


@pytest.fixture
def shop(store):
    return Shop(store)
