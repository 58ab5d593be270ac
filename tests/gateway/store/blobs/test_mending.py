from __future__ import annotations

import pytest

from gateway.events import Origin, Run
from gateway.store import Put, Reference, StreamSpec, encode_reference
from gateway.store.blobs.mending import DAMAGE_TABLE, MENDED_KEY, mend_references
from gateway.store.blobs.references import REFERENCES_TABLE
from gateway.store.memory import MemoryStore

DIGESTS = ["ab" * 32, "cd" * 32]


def records(partition, *digests):
    payloads = [encode_reference(Reference(digest, 5_000)) for digest in digests] + [b"small"]
    origins = [Origin("a/b", "b")] * len(payloads)
    flags = bytes([0x12] * len(digests) + [0x02])
    return Run("telemetry", partition, "b", 1, origins, payloads, flags)


@pytest.fixture
async def store():
    store = MemoryStore()
    await store.ensure(StreamSpec("telemetry", partitions=2))
    await store.append([records(0, *DIGESTS, DIGESTS[0]), records(1, DIGESTS[1])])
    return store


async def references(store):
    keys = [key for key, _ in await store.entries(REFERENCES_TABLE) if key != MENDED_KEY]
    return [key.split("/")[:4] for key in keys]


async def test_a_log_that_was_never_damaged_is_not_read(store):
    assert await mend_references(store) == 0
    assert await store.entries(REFERENCES_TABLE) == []


async def test_after_damage_every_reference_is_written_down_again_once(store):
    await store.append([], [Put(DAMAGE_TABLE, "1", b"{}")])
    assert await mend_references(store) == 3
    assert sorted(await references(store)) == [
        [DIGESTS[0], "log", "telemetry", "0"],
        [DIGESTS[1], "log", "telemetry", "0"],
        [DIGESTS[1], "log", "telemetry", "1"],
    ]
    assert await mend_references(store) == 0
    await store.append([], [Put(DAMAGE_TABLE, "2", b"{}")])
    assert await mend_references(store) == 3
