from __future__ import annotations

import os

import pytest

from gateway.clock import ManualClock
from gateway.events import Origin, Run
from gateway.store import (
    BlobStore,
    BlobSweep,
    Reference,
    StoreOptions,
    StreamSpec,
    claim_puts,
    decode_reference,
    encode_reference,
    holder_put,
    holder_removal,
    open_store,
    record_put,
    references_of,
)
from gateway.store.blobs.files import FOLDERS, YOUNG_MS

NOW_MS = 1_800_000_000_000


@pytest.fixture
def clock():
    return ManualClock(NOW_MS)


@pytest.fixture
async def store(tmp_path, clock):
    store = await open_store(StoreOptions(tmp_path), clock)
    await store.ensure(StreamSpec("telemetry", partitions=1))
    yield store
    await store.close()


def old_blob(blobs, clock, content):
    digest = blobs.put(content)
    old_s = (clock.now_ms() - 2 * YOUNG_MS) / 1_000
    os.utime(blobs.path_of(digest), (old_s, old_s))
    return digest


def record(digest, arrival_ms):
    payload = encode_reference(Reference(digest, 1))
    origin = Origin("a/b", "b")
    return Run("telemetry", 0, "b", arrival_ms, [origin], [payload], bytes([0x10]))


async def sweep(store, blobs):
    sweeper = BlobSweep(store, blobs)
    return sum([await sweeper.step() for _ in FOLDERS])


def test_a_reference_is_read_back():
    reference = Reference("ab" * 32, 5_000_000)
    assert decode_reference(encode_reference(reference)) == reference


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"7", b'{"blob": 1, "size_bytes": "x"}'])
def test_what_is_no_reference_is_none(payload):
    assert decode_reference(payload) is None


async def test_a_blob_that_nobody_refers_to_is_swept(store, tmp_path, clock):
    blobs = BlobStore(tmp_path, clock)
    digest = old_blob(blobs, clock, b"orphan")
    assert await sweep(store, blobs) == 0
    clock.advance(YOUNG_MS)
    assert await sweep(store, blobs) == 1
    assert blobs.get(digest) is None


async def test_a_blob_stays_as_long_as_somebody_holds_it(store, tmp_path, clock):
    blobs = BlobStore(tmp_path, clock)
    digest = old_blob(blobs, clock, b"image")
    await store.append([], [holder_put(digest, "firmware/pump/1.2")])
    clock.advance(YOUNG_MS)
    assert await sweep(store, blobs) == 0
    await store.append([], [holder_removal(digest, "firmware/pump/1.2")])
    assert await sweep(store, blobs) == 1


async def test_a_blob_goes_when_retention_has_passed_every_record_of_it(store, tmp_path, clock):
    blobs = BlobStore(tmp_path, clock)
    digest = old_blob(blobs, clock, b"waveform")
    for _ in range(2):
        puts = [record_put(digest, "telemetry", 0)]
        await store.append([record(digest, clock.now_ms())], puts)
        clock.advance(YOUNG_MS)
        assert await sweep(store, blobs) == 0
    spec = StreamSpec("telemetry", partitions=1, retention_count=1)
    await store.ensure(spec)
    while await store.retain_step():
        pass
    assert await sweep(store, blobs) == 0
    await store.append([record("00" * 32, clock.now_ms())])
    while await store.retain_step():
        pass
    assert await sweep(store, blobs) == 1
    assert await store.entries("blob-references") == []


async def test_a_reference_from_a_stream_that_is_gone_holds_nothing(store, tmp_path, clock):
    blobs = BlobStore(tmp_path, clock)
    digest = old_blob(blobs, clock, b"x")
    await store.append([], [record_put(digest, "no-such-stream", 0)])
    clock.advance(YOUNG_MS)
    assert await sweep(store, blobs) == 1


def test_only_what_is_marked_as_a_claim_is_one():
    own = record("ab" * 32, 1)
    other = Run("telemetry", 0, "b", 1, own.origins * 2, own.payloads * 2, bytes([0x02, 0x0F]))
    assert references_of(own) == [Reference("ab" * 32, 1)]
    assert references_of(other) == []
    (put,) = claim_puts([other, own])
    assert put.key.startswith("ab" * 32 + "/log/telemetry/0/")


async def test_a_holder_that_is_asked_and_says_no_holds_nothing(store, tmp_path, clock):
    blobs = BlobStore(tmp_path, clock)
    digest = old_blob(blobs, clock, b"retained")
    await store.append([], [holder_put(digest, "retained/a/b")])
    clock.advance(YOUNG_MS)
    answers = {"a/b": True}
    asked = []

    async def check(asked_digest, topic):
        asked.append((asked_digest, topic))
        return answers[topic]

    sweeper = BlobSweep(store, blobs, {"retained": check})
    assert sum([await sweeper.step() for _ in FOLDERS]) == 0
    answers["a/b"] = False
    assert sum([await sweeper.step() for _ in FOLDERS]) == 1
    assert asked == [(digest, "a/b")] * 2
