from __future__ import annotations

import json

import pytest

from gateway.clock import ManualClock
from gateway.events import Origin, Run
from gateway.pipeline import RouteRow, RulesJob
from gateway.store import StoreOptions, StreamSpec, open_store

HOT = """\
version: 1
rules:
  - {id: hot, from: plant/+, key: device, when: payload.x > 5}
  - {id: seen, from: plant/+, key: device, window: {count: 3}, aggregate: {s: sum(payload.x)},
     emit: {stream: sums}}
"""
SPECS = (StreamSpec("telemetry", 2), StreamSpec("alerts", 1), StreamSpec("ticks", 1))


def event(x, *, partition=0):
    payload = json.dumps({"x": x}).encode()
    origin = Origin(f"plant/m{partition}", f"m{partition}")
    return Run("telemetry", partition, "c", 1_000, [origin], [payload], b"\x00")


async def payloads(store, stream):
    """The payloads of a stream's first partition, as JSON."""
    chunk = await store.fetch(stream, 0, 0, records_max=100_000)
    return [json.loads(one.payload) for batch in chunk.batches for one in batch.records()]


async def told(store):
    """What the alarms did, as (key, event)."""
    return [(one["key"], one["event"]) for one in await payloads(store, "alerts")]


@pytest.fixture
def rules_path(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(HOT)
    return path


@pytest.fixture
def job(tmp_path, rules_path):
    return RulesJob(
        data_dir=str(tmp_path / "log"),
        rules_path=str(rules_path),
        profiles_path=None,
        reload_ms=0,
        streams=("telemetry",),
        client_streams=("telemetry",),
        routes=(RouteRow("alerts", ("alerts/#",), 1), RouteRow("telemetry", ("#",), 2)),
        device_topics=("+/{device}/#",),
    )


@pytest.fixture
async def store(job, tmp_path):
    store = await open_store(StoreOptions(tmp_path / "log"), ManualClock(1_000))
    for spec in SPECS:
        await store.ensure(spec)
    yield store
    await store.close()
