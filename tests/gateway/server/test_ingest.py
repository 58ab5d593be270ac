from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from gateway.clock import ManualClock
from gateway.devices import DeviceTopics
from gateway.errors import MalformedPacket, StoreFull, StoreUnavailable
from gateway.mqtt import Properties, ReasonCode, Will
from gateway.routing import RetainedMessages, Router
from gateway.server import ServerOptions
from gateway.server.ingest import NOT_STORED, Ingest
from gateway.session import Appended, AppendRefused, PublishBatch, SessionState
from gateway.store import Put, partition_of
from tests.gateway.server.conftest import ROUTES, STREAMS, ScriptedStore, turn
from tests.harness.waiting import until

FULL = StoreUnavailable("the disk is full")


class Publisher:
    """A publisher that remembers what it was told."""

    def __init__(self, client_id="c", expiry_ms=0):
        self.state = SessionState(client_id, expiry_ms)
        self.answers = []
        self.permit = None
        self.is_paused = False

    def perform(self, answer):
        self.answers.append(answer)

    def pause(self):
        assert not self.is_paused
        self.is_paused = True

    def resume(self):
        assert self.is_paused
        self.is_paused = False

    @property
    def acknowledged(self):
        return [one for answer in self.answers for one in answer.packet_ids]


@pytest.fixture
async def make():
    """Build an ingest over a scripted store; keywords are options of the server."""

    async def build(**options):
        store = ScriptedStore()
        for spec in STREAMS:
            await store.ensure(spec)
        made = ServerOptions(**options)
        router = Router(ROUTES, DeviceTopics().device_of, partition_of)
        retained = RetainedMessages(made.retained)
        ingest = Ingest(store, router, ManualClock(10**12), retained, made)
        ingest.store = store
        return ingest

    return build


def batch(*payloads, topic=b"power/d/x", qos=1, first_id=1):
    packet_ids = [(first_id + index).to_bytes(2, "big") for index in range(len(payloads))]
    return PublishBatch(
        [topic] * len(payloads),
        list(payloads),
        [qos << 1] * len(payloads),
        packet_ids if qos else [],
    )


def submit(ingest, publisher, *payloads, **fields):
    ingest.submit(publisher, publisher.state, batch(*payloads, **fields))


async def test_an_acknowledgement_waits_for_the_commit(make):
    ingest, publisher = await make(), Publisher()
    ingest.store.is_stuck = True
    submit(ingest, publisher, b"1", b"2")
    await turn(10)
    assert (publisher.answers, len(ingest.store.appends)) == ([], 1)
    ingest.store.unstick()
    await until(lambda: publisher.answers, "an answer")
    assert publisher.answers == [Appended([b"\x00\x01", b"\x00\x02"], ())]
    assert ingest.store.payloads() == {("power", 0): [b"1", b"2"]}
    assert (ingest.accepted, ingest.uncommitted_bytes) == (2, 0)


async def test_what_arrives_in_one_turn_is_one_append_and_one_answer_each(make):
    ingest, first, second = await make(), Publisher("a"), Publisher("b")
    submit(ingest, first, b"1")
    submit(ingest, second, b"2")
    submit(ingest, first, b"3", first_id=7)
    await until(lambda: second.answers, "the answers")
    assert len(ingest.store.appends) == 1
    assert first.answers == [Appended([b"\x00\x01", b"\x00\x07"], [])]
    assert second.answers == [Appended([b"\x00\x01"], ())]


async def test_what_arrives_during_a_commit_is_handed_over_at_once(make):
    ingest, publisher = await make(), Publisher()
    ingest.store.is_stuck = True
    submit(ingest, publisher, b"1")
    await turn(3)
    submit(ingest, publisher, b"2")
    await turn(3)
    assert len(ingest.store.appends) == 2


async def test_messages_of_qos_0_are_stored_and_not_answered(make):
    ingest, publisher = await make(), Publisher()
    submit(ingest, publisher, b"1", b"2", qos=0)
    await until(lambda: ingest.accepted == 2, "the commit")
    assert publisher.answers == []


async def test_a_malformed_topic_takes_nothing_of_its_batch(make):
    ingest, publisher = await make(), Publisher()
    wrong = PublishBatch(
        [b"power/a", b"power/\xff"], [b"1", b"2"], [2, 2], [b"\x00\x01", b"\x00\x02"]
    )
    with pytest.raises(MalformedPacket):
        ingest.submit(publisher, publisher.state, wrong)
    await ingest.drain()
    assert (ingest.store.appends, ingest.uncommitted_bytes) == ([], 0)


async def test_a_message_that_no_stream_takes_is_refused_alone(make):
    ingest, publisher = await make(), Publisher()
    mixed = PublishBatch(
        [b"power/a", b"other", b"power/b"],
        [b"1", b"2", b"3"],
        [2, 2, 2],
        [b"\x00\x01", b"\x00\x02", b"\x00\x03"],
    )
    ingest.submit(publisher, publisher.state, mixed)
    await until(lambda: ingest.accepted == 2, "the commit")
    refusals = [answer for answer in publisher.answers if isinstance(answer, AppendRefused)]
    assert [list(one.packet_ids) for one in refusals] == [[b"\x00\x02"]]
    assert refusals[0].reason_code == ReasonCode.NOT_AUTHORIZED
    assert ingest.store.payloads() == {("power", 0): [b"1", b"3"]}


# When the store can't write


async def test_what_could_not_be_stored_is_tried_again_in_its_order(make):
    ingest, publisher = await make(), Publisher()
    ingest.store.error = FULL
    submit(ingest, publisher, b"1")
    await until(lambda: ingest.is_failing, "the failure")
    submit(ingest, publisher, b"2", first_id=2)
    await until(lambda: len(ingest.store.appends) > 1, "another try")
    submit(ingest, publisher, b"3", first_id=3)
    assert publisher.answers == []
    ingest.store.error = None
    await until(lambda: not ingest.is_failing, "the recovery")
    assert publisher.acknowledged == [b"\x00\x01", b"\x00\x02", b"\x00\x03"]
    assert ingest.store.payloads() == {("power", 0): [b"1", b"2", b"3"]}
    assert ingest.uncommitted_bytes == 0


async def test_everything_that_was_on_its_way_is_held_in_its_order(make):
    ingest, publisher = await make(), Publisher()
    ingest.store.is_stuck = True
    for number in range(4):
        submit(ingest, publisher, b"%d" % number, first_id=number + 1)
        await turn(2)
    ingest.store.unstick(FULL)
    submit(ingest, publisher, b"4", first_id=5)
    await until(lambda: ingest.is_failing, "the failure")
    ingest.store.error = None
    await until(lambda: not ingest.is_failing, "the recovery")
    assert ingest.store.payloads() == {("power", 0): [b"0", b"1", b"2", b"3", b"4"]}
    assert len(publisher.acknowledged) == 5


async def test_what_has_waited_too_long_is_refused_and_forgotten(make):
    ingest, publisher = await make(refuse_after_ms=0), Publisher()
    ingest.store.error = FULL
    submit(ingest, publisher, b"1", b"2")
    submit(ingest, publisher, b"3", qos=0)
    await until(lambda: publisher.answers, "the refusal")
    assert publisher.answers[0] == AppendRefused(
        [b"\x00\x01", b"\x00\x02"], (), ReasonCode.QUOTA_EXCEEDED, NOT_STORED
    )
    assert (ingest.refused, ingest.uncommitted_bytes, ingest.accepted) == (3, 0, 0)
    ingest.store.error = None
    submit(ingest, publisher, b"4", first_id=9)
    await until(lambda: ingest.accepted, "a commit")
    assert ingest.store.payloads() == {("power", 0): [b"4"]}


async def test_a_session_state_is_tried_again_until_it_is_durable(make):
    ingest = await make(refuse_after_ms=0)
    durable = []
    ingest.write_state = lambda state, _: Put("sessions", state.client_id, b"state")
    ingest.store.error = FULL
    ingest.save(SessionState("c", 1_000), lambda: durable.append(True))
    await until(lambda: len(ingest.store.appends) > 3, "a few tries")
    assert not durable
    ingest.store.error = None
    await until(lambda: durable, "the commit")
    assert await ingest.store.table("sessions").get("c") == b"state"


async def test_on_a_full_disk_states_are_saved_while_records_wait(make):
    ingest, publisher = await make(), Publisher("busy")
    ingest.write_state = lambda state, _: Put("sessions", state.client_id, b"state")
    append = ingest.store.append

    def refuse_records(runs, puts=()):
        ingest.store.error = StoreFull("no room") if runs and ingest.store.is_full else None
        return append(runs, puts)

    ingest.store.is_full = True
    ingest.store.append = refuse_records
    durable = []
    submit(ingest, publisher, b"1")
    ingest.save(SessionState("idle", 1_000), lambda: durable.append("idle"))
    ingest.save(SessionState("busy", 1_000), lambda: durable.append("busy"))
    await until(lambda: durable, "the state of a client without records")
    assert (durable, publisher.answers) == (["idle"], [])
    ingest.store.is_full = False
    await until(lambda: len(durable) == 2, "the rest")
    assert publisher.acknowledged == [b"\x00\x01"]


@pytest.mark.parametrize("seed", range(12))
async def test_nothing_is_lost_reordered_or_acknowledged_unstored_however_the_store_fails(
    make, seed
):
    rng = random.Random(seed)
    ingest = await make()
    publishers = [Publisher(f"c{number}") for number in range(3)]
    sent = dict.fromkeys(publishers, 0)
    for _ in range(120):
        publisher = rng.choice(publishers)
        sent[publisher] += 1
        topic = b"plant/%s/t" % publisher.state.client_id.encode()
        payload = b"%s %d" % (publisher.state.client_id.encode(), sent[publisher])
        submit(ingest, publisher, payload, topic=topic, first_id=sent[publisher])
        move = rng.random()
        if move < 0.1:
            ingest.store.is_stuck = True
        if move > 0.85:
            ingest.store.unstick(rng.choice([None, None, FULL]))
        await turn(rng.choice([0, 0, 1, 4]))
        check_acknowledged_is_stored(ingest.store, publishers)
    ingest.store.unstick()
    await until(
        lambda: sum(len(one.acknowledged) for one in publishers) == 120, "every acknowledgement"
    )
    for publisher in publishers:
        numbers = [int.from_bytes(one, "big") for one in publisher.acknowledged]
        assert numbers == list(range(1, sent[publisher] + 1))
        prefix = publisher.state.client_id.encode()
        stored = [
            payload
            for payloads in ingest.store.payloads().values()
            for payload in payloads
            if payload.startswith(prefix)
        ]
        assert stored == [b"%s %d" % (prefix, number) for number in numbers]
    assert ingest.uncommitted_bytes == 0


def check_acknowledged_is_stored(store, publishers):
    stored = {payload for payloads in store.payloads().values() for payload in payloads}
    for publisher in publishers:
        for packet_id in publisher.acknowledged:
            client_id = publisher.state.client_id.encode()
            assert b"%s %d" % (client_id, int.from_bytes(packet_id, "big")) in stored


# Back-pressure


async def test_a_publisher_is_paused_while_too_much_waits_for_the_disk(make):
    ingest, first, second = await make(uncommitted_bytes_max=1_000), Publisher("a"), Publisher("b")
    ingest.store.is_stuck = True
    submit(ingest, first, b"x" * 900)
    assert not first.is_paused
    submit(ingest, second, b"x" * 900)
    assert (first.is_paused, second.is_paused) == (False, True)
    submit(ingest, second, b"x")
    ingest.store.unstick()
    await until(lambda: not second.is_paused, "reading again")


async def test_a_paused_publisher_reads_again_once_half_of_it_is_stored(make):
    ingest, publisher = await make(uncommitted_bytes_max=1_000), Publisher()
    ingest.store.is_stuck = True
    submit(ingest, publisher, b"x" * 600)
    await turn(3)
    submit(ingest, publisher, b"x" * 600, first_id=2)
    await turn(3)
    assert publisher.is_paused
    ingest.store.unstick()
    await until(lambda: not publisher.is_paused, "reading again")
    assert ingest.uncommitted_bytes <= 500


async def test_a_refused_publisher_reads_again(make):
    ingest, publisher = await make(uncommitted_bytes_max=100, refuse_after_ms=0), Publisher()
    ingest.store.error = FULL
    submit(ingest, publisher, b"x" * 600)
    assert publisher.is_paused
    await until(lambda: not publisher.is_paused, "reading again")


# What is kept of a client


async def test_a_qos_2_message_and_its_identifier_are_one_commit(make):
    ingest, publisher = await make(), Publisher(expiry_ms=None)
    saved = []

    def write_state(state, receiving):
        saved.append((state.client_id, list(receiving)))
        return Put("sessions", state.client_id, b"state")

    ingest.write_state = write_state
    message = PublishBatch([b"power/d"], [b"1"], [4], (), None, [b"\x00\x07"])
    ingest.submit(publisher, publisher.state, message)
    await until(lambda: publisher.answers, "the answer")
    (only,) = ingest.store.appends
    assert (len(only[0]), only[1]) == (1, [Put("sessions", "c", b"state")])
    assert saved == [("c", [b"\x00\x07"])]
    assert publisher.answers == [Appended((), [b"\x00\x07"])]


async def test_every_state_that_is_saved_meanwhile_knows_what_is_being_received(make):
    ingest, publisher = await make(), Publisher(expiry_ms=None)
    saved = []

    def write_state(state, receiving):
        saved.append(list(receiving))
        return Put("sessions", state.client_id, b"state")

    ingest.write_state = write_state
    ingest.store.is_stuck = True
    message = PublishBatch([b"power/d"], [b"1"], [4], (), None, [b"\x00\x07"])
    ingest.submit(publisher, publisher.state, message)
    await turn(3)
    ingest.save(publisher.state)
    await turn(3)
    ingest.store.unstick()
    await ingest.drain()
    ingest.save(publisher.state)
    await ingest.drain()
    assert saved == [[b"\x00\x07"], [b"\x00\x07"], []]


async def test_a_will_is_stored_and_loses_its_delay(make):
    ingest = await make()
    properties = Properties(will_delay_interval_s=5, content_type="text")
    ingest.submit_will("c", Will("power/gone", b"bye", 1, retain=True, properties=properties))
    await ingest.drain()
    (record,) = [
        record for batch in ingest.store._logs["power", 0].batches for record in batch.records()
    ]
    assert (record.topic, record.payload, record.client, record.qos) == (
        "power/gone",
        b"bye",
        "c",
        1,
    )
    assert record.is_retained
    assert b"text" in record.properties


async def test_a_will_that_no_stream_takes_is_left_out(make, caplog):
    ingest = await make()
    ingest.submit_will("c", Will("other", b"bye"))
    await ingest.drain()
    assert ingest.store.appends == []
    assert "'other'" in caplog.text


async def test_draining_waits_for_everything_that_was_taken(make):
    ingest, publisher = await make(), Publisher()
    ingest.store.is_stuck = True
    submit(ingest, publisher, b"1")
    draining = asyncio.ensure_future(ingest.drain())
    await turn(5)
    assert not draining.done()
    ingest.store.unstick()
    await draining
    assert publisher.acknowledged == [b"\x00\x01"]
    await ingest.drain()


@pytest.mark.parametrize(("weaker", "durability"), [({}, ""), ({"power": "memory"}, "memory")])
async def test_a_receipt_tells_a_durability_that_is_weaker_than_fsync(make, weaker, durability):
    ingest, publisher = await make(), Publisher()
    ingest.weaker = weaker
    ingest.submit(publisher, publisher.state, replace(batch(b"1"), wants_receipts=True))
    await until(lambda: publisher.answers, "an answer")
    (answer,) = publisher.answers
    assert (answer.place, answer.durability) == (("power", 0, 0), durability)
