from __future__ import annotations

import asyncio

import pytest

from gateway.clock import ManualClock
from gateway.devices import DeviceTopics
from gateway.errors import StoreFull, StoreUnavailable
from gateway.events import Flag
from gateway.mqtt import ReasonCode, Will
from gateway.routing import RetainedMessages, Router
from gateway.server import ServerOptions
from gateway.server.ingest import Ingest
from gateway.server.retaining import DECODER, TABLE, retained_check
from gateway.server.spilling import ClaimLimits, Spilling
from gateway.session import AppendRefused, PublishBatch, SessionState
from gateway.store import BlobStore, decode_reference, partition_of
from gateway.store.blobs.references import REFERENCES_TABLE
from tests.gateway.server.conftest import ROUTES, STREAMS, ScriptedStore, turn
from tests.harness.waiting import until

SMALL, LARGE = b"small", b"L" * 500
OTHER_LARGE = b"M" * 700


class Publisher:
    """A publisher that remembers what it was told."""

    def __init__(self, client_id="c"):
        self.state = SessionState(client_id, 0)
        self.answers = []
        self.permit = None

    def perform(self, answer):
        self.answers.append(answer)

    def pause(self):
        pass

    def resume(self):
        pass

    @property
    def acknowledged(self):
        return [int.from_bytes(one, "big") for answer in self.answers for one in answer.packet_ids]


class ScriptedBlobs(BlobStore):
    """Blobs whose disk fails as long as `error` says so."""

    error = None

    def put(self, content):
        if self.error is not None:
            raise self.error
        return super().put(content)


@pytest.fixture
async def make(tmp_path):
    """Build an ingest over a scripted store that keeps payloads over 200 bytes as blobs."""

    async def build(limits=None, **options):
        store = ScriptedStore()
        for spec in STREAMS:
            await store.ensure(spec)
        made = ServerOptions(**options)
        router = Router(ROUTES, DeviceTopics().device_of, partition_of)
        clock = ManualClock(10**12)
        ingest = Ingest(store, router, clock, RetainedMessages(made.retained), made)
        ingest.store = store
        ingest.blobs = ScriptedBlobs(tmp_path, clock)
        limits = limits or ClaimLimits(bytes_default=200)
        ingest.spilling = Spilling(
            ingest.blobs, limits, ingest.enqueue, ingest.refuse, made.refuse_after_ms
        )
        return ingest

    return build


def submit(ingest, publisher, *payloads, first_id=1, topic=b"power/d/x", flags=2):
    ids = [(first_id + index).to_bytes(2, "big") for index in range(len(payloads))]
    batch = PublishBatch([topic] * len(payloads), list(payloads), [flags] * len(payloads), ids)
    ingest.submit(publisher, publisher.state, batch)


def records(store):
    return [
        (payload, flags)
        for runs, _ in store.appends
        for run in runs
        for payload, flags in zip(run.payloads, run.flags, strict=True)
    ]


async def test_a_large_payload_is_a_blob_and_a_reference_before_it_is_acknowledged(make):
    ingest, publisher = await make(), Publisher()
    submit(ingest, publisher, SMALL, LARGE)
    await until(lambda: publisher.answers, "the acknowledgement")
    assert publisher.acknowledged == [1, 2]
    (small, reference) = records(ingest.store)
    assert small == (SMALL, 2)
    assert reference[1] == 2 | Flag.CLAIM
    found = decode_reference(reference[0])
    assert (found.size_bytes, ingest.blobs.get(found.digest)) == (500, LARGE)
    keys = [key for key, _ in await ingest.store.entries(REFERENCES_TABLE)]
    assert [key.split("/")[:3] for key in keys] == [[found.digest, "log", "power"]]


async def test_what_a_client_publishes_behind_it_waits_and_others_do_not(make):
    ingest, slow, quick = await make(), Publisher("slow"), Publisher("quick")
    ingest.blobs.error = StoreUnavailable("wait")
    submit(ingest, slow, LARGE)
    submit(ingest, slow, SMALL, first_id=2)
    submit(ingest, slow, OTHER_LARGE, first_id=3)
    submit(ingest, slow, SMALL, first_id=4)
    submit(ingest, quick, b"quick")
    await until(lambda: quick.answers, "the other's acknowledgement")
    assert slow.answers == []
    ingest.blobs.error = None
    await until(lambda: len(slow.acknowledged) == 4, "the acknowledgements")
    assert slow.acknowledged == [1, 2, 3, 4]
    payloads = [payload for payload, _ in records(ingest.store)]
    sizes = [getattr(decode_reference(one), "size_bytes", one) for one in payloads]
    assert sizes == [b"quick", 500, SMALL, 700, SMALL]
    assert (ingest.spilling.is_busy, ingest.spilling.spilled_bytes) == (False, 1200)


async def test_a_disk_that_stays_full_refuses_and_the_next_one_is_tried_again(make):
    ingest, publisher = await make(refuse_after_ms=0), Publisher()
    ingest.blobs.error = StoreFull("no room")
    submit(ingest, publisher, LARGE)
    submit(ingest, publisher, SMALL, first_id=2)
    await until(lambda: len(publisher.answers) == 2, "the refusals")
    assert {type(answer) for answer in publisher.answers} == {AppendRefused}
    assert {answer.reason_code for answer in publisher.answers} == {ReasonCode.QUOTA_EXCEEDED}
    assert (ingest.uncommitted_bytes, ingest.spilling.is_busy) == (0, False)
    ingest.blobs.error = None
    publisher.answers.clear()
    submit(ingest, publisher, LARGE, first_id=3)
    await until(lambda: publisher.acknowledged == [3], "the acknowledgement")


async def test_drain_waits_for_what_is_on_its_way_to_a_blob(make):
    ingest, publisher = await make(), Publisher()
    ingest.blobs.error = StoreUnavailable("wait")
    submit(ingest, publisher, LARGE)
    await turn(5)
    draining = asyncio.ensure_future(ingest.drain())
    await turn(5)
    assert not draining.done()
    ingest.blobs.error = None
    await asyncio.wait_for(draining, 10)
    assert publisher.acknowledged == [1]


async def test_a_retained_message_refers_to_its_blob_for_as_long_as_it_is_retained(make):
    ingest, publisher = await make(), Publisher()
    submit(ingest, publisher, LARGE, flags=3)
    await until(lambda: publisher.answers, "the acknowledgement")
    encoded = await ingest.store.entry(TABLE, "power/d/x")
    digest = decode_reference(DECODER.decode(encoded).payload).digest
    keys = [key for key, _ in await ingest.store.entries(REFERENCES_TABLE)]
    assert f"{digest}/retained/power/d/x" in keys
    check = retained_check(ingest.store)
    assert await check(digest, "power/d/x")
    assert not await check(digest, "power/d/y")
    submit(ingest, publisher, SMALL, flags=3, first_id=2)
    await until(lambda: len(publisher.acknowledged) == 2, "the next acknowledgement")
    assert not await check(digest, "power/d/x")


async def test_a_large_will_is_a_blob_too(make):
    ingest = await make()
    ingest.submit_will("c", Will("power/d/x", LARGE, 1))
    await until(lambda: ingest.accepted == 1, "the will")
    assert [flags for _, flags in records(ingest.store)] == [2 | Flag.CLAIM]


def test_a_topic_says_more_than_its_stream_and_a_stream_more_than_the_default():
    limits = ClaimLimits(
        1000, {"a": 500, "never": None}, lambda topic: 50 if topic == "t" else None, 50
    )
    assert limits.least == 50
    assert (limits.of("a", "x"), limits.of("a", "t"), limits.of("b", "x")) == (500, 50, 1000)
    assert limits.of("never", "t") is None


async def test_a_stream_without_a_limit_keeps_every_payload_in_the_log(make):
    ingest, publisher = await make(ClaimLimits(200, {"power": None})), Publisher()
    submit(ingest, publisher, LARGE)
    await until(lambda: publisher.answers, "the acknowledgement")
    assert records(ingest.store) == [(LARGE, 2)]
