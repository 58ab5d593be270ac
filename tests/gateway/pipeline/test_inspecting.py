from __future__ import annotations

import asyncio
import contextlib

import orjson
import pytest

from gateway.clock import ManualClock
from gateway.devices import parse_profile
from gateway.errors import StoreUnavailable
from gateway.events import Flag, Origin, Run
from gateway.pipeline.inspecting import GROUP, Inspection, InspectionOptions, inspect
from gateway.store import StreamSpec
from gateway.store.memory import MemoryStore
from tests.harness.waiting import until

BOOK = parse_profile(
    'version: 1\nprofile: p\ntopics: ["a/{device}"]\nfields: {t: {max: 9}}\ninvalid: dead-letter\n'
)
OPTIONS = InspectionOptions(retry_ms=1)


@pytest.fixture
async def store():
    store = MemoryStore()
    await store.ensure(StreamSpec("telemetry", partitions=2))
    await store.ensure(StreamSpec("dead-letters", partitions=1))
    return store


def run_of(*payloads, topic="a/b", partition=0):
    count = len(payloads)
    origins = [Origin(topic, "b")] * count
    return Run("telemetry", partition, "c", 5, origins, payloads, bytes(count))


async def letters(store):
    chunk = await store.fetch("dead-letters", 0, 0)
    return [orjson.loads(record.payload) for batch in chunk.batches for record in batch.records()]


@contextlib.asynccontextmanager
async def at_work(store, book=BOOK, options=OPTIONS):
    inspection = Inspection(store, book, ["telemetry"], ManualClock(), options)
    task = asyncio.create_task(inspection.run())

    async def has_begun():
        return any(group.name == GROUP for group in await store.groups())

    await until(has_begun, "the first commit")
    try:
        yield inspection
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_what_cannot_be_decoded_becomes_a_letter_with_its_cause(store):
    async with at_work(store) as inspection:
        await store.append([run_of(b'{"t": 5}', b"\xff", b'{"t": 10}')])
        await until(lambda: inspection.letters_written == 2, "the letters")
    first, second = await letters(store)
    assert first["cause"].startswith("not JSON")
    assert (first["offset"], first["group"], first["failed_by"]) == (1, GROUP, "profile p")
    assert second["cause"] == "'t' is 10; it must be at most 9"
    assert second["payload_text"] == '{"t": 10}'


async def test_a_payload_in_a_blob_is_no_dead_letter(store):
    async with at_work(store) as inspection:
        claim = run_of(b'{"blob": "ab", "size_bytes": 5}')
        claim.flags = bytes([Flag.CLAIM])
        await store.append([claim, run_of(b"\xff")])
        await until(lambda: inspection.letters_written == 1, "the letters")
    assert [letter["offset"] for letter in await letters(store)] == [1]


async def test_topics_without_a_profile_are_passed_over(store):
    async with at_work(store) as inspection:
        await store.append([run_of(b"\xff", topic="x/y")])
        await store.append([run_of(b"\xff")])
        await until(lambda: inspection.letters_written == 1, "the letters")
    assert [one["topic"] for one in await letters(store)] == ["a/b"]


async def test_no_letter_is_written_twice_however_often_it_begins_anew(store):
    for number in range(3):
        async with at_work(store) as inspection:
            await store.append([run_of(b"\xff", partition=number % 2)])
            await until(lambda one=inspection: one.letters_written == 1, "the letters")
    assert len(await letters(store)) == 3


class RefusingMember:
    """A member whose first commit is refused, before or after it has landed."""

    def __init__(self, member, *, has_landed):
        self._member, self._has_landed, self.refused = member, has_landed, 0

    def __getattr__(self, name):
        return getattr(self._member, name)

    async def commit(self, **content):
        if content.get("outputs") and not self.refused:
            self.refused += 1
            if self._has_landed:
                await self._member.commit(**content)
            raise StoreUnavailable("no")
        return await self._member.commit(**content)


@pytest.mark.parametrize("has_landed", [False, True])
async def test_a_disk_that_refuses_is_tried_again_and_no_letter_goes_twice(store, has_landed):
    join = store.join
    store.join = lambda *names: RefusingMember(join(*names), has_landed=has_landed)
    async with at_work(store) as inspection:
        await store.append([run_of(b"\xff")])
        await until(lambda: inspection.letters_written == 1, "the letters")
    assert len(await letters(store)) == 1


@pytest.mark.parametrize(
    ("rest", "raw", "cause"),
    [
        ("undecodable: ignore\n", b"\xff", ""),
        ("undecodable: dead-letter\n", b"\xff", "not JSON"),
        ("fields: {t: {max: 1}}\ninvalid: tag\n", b'{"t": 2}', ""),
        ("fields: {t: {max: 1}}\ninvalid: dead-letter\n", b'{"t": 2}', "at most 1"),
    ],
)
def test_a_profile_says_what_becomes_a_letter(rest, raw, cause):
    book = parse_profile(f'version: 1\nprofile: p\ntopics: ["a/{{device}}"]\n{rest}')
    found = inspect(book.named("p"), book.decoder_named("p"), raw)
    assert cause in found
    assert bool(found) == bool(cause)


async def test_as_long_as_no_profile_wants_it_nothing_is_inspected(store):
    book = parse_profile('version: 1\nprofile: p\ntopics: ["a/{device}"]\nundecodable: ignore\n')
    inspection = Inspection(store, book, ["telemetry"], ManualClock(), OPTIONS)
    running = asyncio.create_task(inspection.run())
    await store.append([run_of(b'{"t": 10}')])
    book.replace(BOOK)

    async def has_begun():
        return any(group.name == GROUP for group in await store.groups())

    await until(has_begun, "its place")
    await store.append([run_of(b'{"t": 10}')])
    await until(lambda: inspection.letters_written == 1, "the letter")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
