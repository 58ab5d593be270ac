from __future__ import annotations

import msgspec
import orjson
import pytest

from gateway.clock import ManualClock
from gateway.devices import (
    AUDIT_STREAM,
    Device,
    EnrolmentGroup,
    decode_device,
    group_key,
    matching_key,
    new_key,
)
from gateway.errors import StoreUnavailable
from gateway.mqtt import (
    Disconnect,
    Properties,
    Puback,
    Pubrec,
    ReasonCode,
    Will,
)
from gateway.server.enrolling import Rates
from tests.gateway.server.conftest import stored, turn
from tests.gateway.server.registered import FAR, SECRET, V3, V5, login, pump
from tests.harness.waiting import until

CLAIM = new_key(b"c" * 32)
SECOND_CLAIM = new_key(b"d" * 32)
LINE = EnrolmentGroup("line", "claim", "p-*", keys=(group_key(CLAIM, "claim", 0),))
MANUAL = msgspec.structs.replace(LINE, approve="manual")
replace = msgspec.structs.replace


class Applying:
    """A client that asks a group for a key."""

    def __init__(self, own, device="p-9", version=V3, peer=FAR):
        self.device = device
        self.client = own.client(version, peer)
        self.answers = []
        self.acks = []

    def connect(self, claim=CLAIM, **fields):
        return self.client.connect(self.device, **login("enrol/line", claim), **fields).reason_code

    async def subscribe(self):
        await self.client.subscribe(f"enrol/{self.device}/response")
        return self

    async def ask(self, qos=1):
        """Ask once, and return what is answered."""
        count = len(self.answers)
        self.client.publish(f"enrol/{self.device}/request", b"", qos=qos)
        return await self.answer(count)

    async def answer(self, count):
        def hear():
            for packet in self.client.heard():
                if isinstance(packet, Puback | Pubrec):
                    self.acks.append(packet)
                elif hasattr(packet, "payload"):
                    assert packet.topic == f"enrol/{self.device}/response"
                    self.answers.append(orjson.loads(packet.payload))
            return len(self.answers) > count

        await until(hear, "an answer")
        return self.answers[-1]


async def applying(own, device="p-9", **fields):
    made = Applying(own, device, **fields)
    assert made.connect() == ReasonCode.SUCCESS
    return await made.subscribe()


def entry(own, device="p-9"):
    return own.server.hub.gate.registry.get(device)


@pytest.mark.parametrize("version", [V3, V5])
async def test_an_applicant_gets_its_own_key_and_comes_in_by_it(gateway, version):
    own = await gateway(groups=[LINE])
    asking = await applying(own, version=version)
    found = await asking.ask()
    assert (found["status"], found["device"]) == ("enrolled", "p-9")
    assert entry(own).is_unused
    assert matching_key(entry(own).keys, found["key"].encode())
    client = own.client(version)
    client.send(connect_of(found["key"], version))
    answers = []
    await until(lambda: answers.extend(client.heard()) or answers, "the CONNACK")
    assert answers[0].reason_code == ReasonCode.SUCCESS
    assert not entry(own).is_unused
    assert own.server.hub.gate.enrolment.enrolled == 1


def connect_of(key, version=V3, device="p-9"):
    from gateway.mqtt import Connect

    return Connect(device, version, **login(device, key))


async def test_a_key_never_goes_into_the_log(gateway):
    own = await gateway(groups=[LINE])
    found = await (await applying(own)).ask()
    assert stored(own.server)
    assert not any(found["key"].encode() in one for one in stored(own.server))
    assert not any(b"enrol" in one for one in own.said("rest"))


async def test_who_enrols_may_do_nothing_else(gateway):
    own = await gateway(groups=[LINE])
    asking = await applying(own, version=V5)
    client = asking.client
    await client.subscribe("plant/p-9/#")
    assert "plant/p-9/#" not in client.connection.session.state.grants_by_filter
    client.publish("plant/p-9/t", b"1")
    client.publish("enrol/p-8/request", b"")
    heard = []
    await until(lambda: heard.extend(client.heard()) or len(heard) >= 2, "two answers")
    assert {one.reason_code for one in heard} == {ReasonCode.NOT_AUTHORIZED}
    assert entry(own) is None
    assert not any(one == b"1" for one in stored(own.server))


async def test_requests_and_others_in_one_read_are_answered_in_order(gateway):
    own = await gateway(groups=[LINE])
    asking = await applying(own, version=V5)
    from gateway.mqtt import Publish

    topics = ["plant/p-9/t", "enrol/p-9/request", "enrol/p-9/request", "x", "enrol/p-9/request"]
    asking.client.send(*(Publish(one, b"", 1, n) for n, one in enumerate(topics, 1)))
    await until(lambda: len(asking.acks) == 5 or asking.answers.clear() or hear(asking), "acks")
    assert [one.packet_id for one in asking.acks] == [1, 2, 3, 4, 5]
    assert [one.reason_code == 0 for one in asking.acks] == [False, True, True, False, True]
    assert asking.client.pipe.is_reading


def hear(asking):
    asking.acks += [one for one in asking.client.heard() if isinstance(one, Puback)]
    return len(asking.acks) == 5


@pytest.mark.parametrize("qos", [0, 2])
async def test_a_request_may_have_any_qos(gateway, qos):
    own = await gateway(groups=[LINE])
    asking = await applying(own)
    assert (await asking.ask(qos))["status"] == "enrolled"


async def test_who_does_not_listen_gets_no_key(gateway):
    own = await gateway(groups=[LINE])
    asking = Applying(own, version=V5)
    asking.connect()
    asking.client.publish("enrol/p-9/request", b"")
    heard = []
    await until(lambda: heard.extend(asking.client.heard()) or heard, "the PUBACK")
    assert heard[0].reason_code == ReasonCode.NOT_AUTHORIZED
    assert "subscribe to 'enrol/p-9/response'" in asking.client.reasons[-1]
    assert entry(own) is None


# What a stolen key can't do


async def test_a_group_key_does_not_open_a_device_that_is_there(gateway):
    own = await gateway(pump("p-7"), groups=[LINE])
    there = own.joined()
    assert Applying(own, "p-7").connect() == ReasonCode.NOT_AUTHORIZED
    assert there.is_open
    assert matching_key(entry(own, "p-7").keys, SECRET.encode())


async def test_an_enrolled_device_that_has_come_in_is_safe_from_its_group(gateway):
    own = await gateway(groups=[LINE])
    found = await (await applying(own)).ask()
    client = own.client()
    client.send(connect_of(found["key"], V5))
    await until(lambda: not entry(own).is_unused, "its use to be noted")
    assert Applying(own).connect() == ReasonCode.NOT_AUTHORIZED
    assert client.is_open


async def test_an_applicant_that_is_late_is_sent_away(gateway):
    own = await gateway(groups=[LINE])
    late = await applying(own, version=V5)
    await own.put(replace(pump("p-9"), group="line"))
    await until(lambda: not late.client.is_open, "its end")


@pytest.mark.parametrize("device", ["x-1", "p-/x", "enrol"])
async def test_ids_beside_the_pattern_are_refused(gateway, device):
    own = await gateway(groups=[LINE])
    assert Applying(own, device).connect() == ReasonCode.NOT_AUTHORIZED


async def test_a_wrong_claim_is_a_guess(gateway):
    own = await gateway(groups=[LINE])
    for claim in (new_key(b"x" * 32), ""):
        code = Applying(own).connect(claim)
        assert code == ReasonCode.BAD_USER_NAME_OR_PASSWORD
    client = own.client()
    fields = login("enrol/none", CLAIM)
    assert client.connect("p-9", **fields).reason_code == ReasonCode.BAD_USER_NAME_OR_PASSWORD


@pytest.mark.parametrize(
    "fields",
    [
        {"clean_start": False},
        {"properties": Properties(session_expiry_interval_s=60)},
        {"will": Will("enrol/p-9/request", b"", 0, False)},
    ],
)
async def test_an_applicant_leaves_nothing_behind(gateway, fields):
    own = await gateway(groups=[LINE])
    assert Applying(own, version=V5).connect(**fields) == ReasonCode.NOT_AUTHORIZED


async def test_a_group_makes_the_gateway_ask_everybody(gateway):
    for group in (LINE, replace(LINE, status="revoked")):
        own = await gateway(groups=[group])
        assert own.client().connect("x").reason_code == ReasonCode.NOT_AUTHORIZED


async def test_with_a_revoked_key_or_group_applicants_are_sent_away(gateway):
    own = await gateway(groups=[LINE])
    asking = await applying(own)
    both = (*LINE.keys, group_key(SECOND_CLAIM, "claim", 0))
    await own.put_group(replace(LINE, keys=both))
    assert asking.client.is_open
    await own.put_group(replace(LINE, keys=both[1:]))
    await until(lambda: not asking.client.is_open, "its end")
    assert Applying(own).connect() == ReasonCode.BAD_USER_NAME_OR_PASSWORD
    assert Applying(own).connect(SECOND_CLAIM) == ReasonCode.SUCCESS
    await own.put_group(replace(LINE, status="revoked", keys=both))
    assert Applying(own).connect() == ReasonCode.NOT_AUTHORIZED


# Approval


async def test_by_hand_an_applicant_waits_and_is_told_when_it_is_approved(gateway):
    own = await gateway(groups=[MANUAL])
    asking = await applying(own)
    assert (await asking.ask())["status"] == "pending"
    assert entry(own).status == "pending"
    assert (await asking.ask())["status"] == "pending"
    await own.put(replace(entry(own), status="active"))
    found = await asking.answer(2)
    assert found["status"] == "enrolled"
    assert matching_key(entry(own).keys, found["key"].encode())


async def test_who_was_not_there_when_it_was_approved_asks_again(gateway):
    own = await gateway(groups=[MANUAL])
    asking = await applying(own)
    await asking.ask()
    asking.client.lose()
    await own.put(replace(entry(own), status="active"))
    assert (await (await applying(own)).ask())["status"] == "enrolled"


async def test_who_is_denied_is_sent_away_and_does_not_come_back(gateway):
    own = await gateway(groups=[MANUAL])
    asking = await applying(own, version=V5)
    await asking.ask()
    await own.put(replace(entry(own), status="disabled"))
    await until(lambda: not asking.client.is_open, "its end")
    assert Disconnect(ReasonCode.ADMINISTRATIVE_ACTION) in asking.client.heard()
    assert Applying(own).connect() == ReasonCode.NOT_AUTHORIZED


async def test_an_entry_that_is_removed_may_be_asked_for_again(gateway):
    own = await gateway(groups=[MANUAL])
    asking = await applying(own)
    await asking.ask()
    from gateway.devices import DEVICES_TABLE
    from gateway.store import Change

    before = own.server.hub.gate.registry.encoded("p-9")
    await own.tables.change([Change(DEVICES_TABLE, "p-9", None, before)])
    assert asking.client.is_open
    assert (await asking.ask())["status"] == "pending"


# Crashes, failures, limits


async def test_a_key_that_never_arrived_is_replaced_by_another(gateway):
    own = await gateway(groups=[LINE])
    first = await (await applying(own)).ask()
    second = await (await applying(own)).ask()
    assert first["key"] != second["key"]
    client = own.client()
    assert client.connect("p-9", **login("p-9", first["key"])).reason_code == (
        ReasonCode.BAD_USER_NAME_OR_PASSWORD
    )
    assert matching_key(entry(own).keys, second["key"].encode())


async def test_the_key_is_durable_before_it_is_told(gateway):
    own = await gateway(groups=[LINE])
    asking = await applying(own)
    own.store.is_stuck = True
    asking.client.publish("enrol/p-9/request", b"")
    await until(lambda: own.store.appends and own.store.appends[-1][1], "the append")
    await turn(20)
    assert asking.client.heard() == []
    assert not asking.client.pipe.is_reading
    own.store.unstick()
    found = await asking.answer(0)
    encoded = await own.store.entry("devices", "p-9")
    assert matching_key(decode_device(encoded).keys, found["key"].encode())


async def test_while_the_registry_cannot_be_written_an_applicant_is_put_off(gateway):
    own = await gateway(groups=[LINE])
    asking = await applying(own)
    own.store.error = StoreUnavailable("the disk is full")
    found = await asking.ask()
    assert found["status"] == "later"
    assert found["retry_after_s"] >= 1
    assert entry(own) is None


async def test_a_first_use_that_cannot_be_written_lets_nobody_in(gateway):
    own = await gateway(groups=[LINE])
    found = await (await applying(own)).ask()
    own.store.error = StoreUnavailable("the disk is full")
    client = own.client()
    client.send(connect_of(found["key"], V5))
    answers = []
    await until(lambda: answers.extend(client.heard()) or answers, "the CONNACK")
    assert answers[0].reason_code == ReasonCode.SERVER_UNAVAILABLE
    assert entry(own).is_unused


async def test_while_the_gateway_starts_an_applicant_is_put_off(gateway):
    own = await gateway(groups=[LINE])
    own.server.hub.gate.enrolment.tables = None
    assert "starting" in (await (await applying(own)).ask())["reason"]


async def test_so_many_a_minute_and_no_more(gateway):
    own = await gateway(groups=[replace(LINE, per_minute=10)])
    assert (await (await applying(own, "p-1")).ask())["status"] == "enrolled"
    found = await (await applying(own, "p-2")).ask()
    assert (found["status"], entry(own, "p-2")) == ("later", None)
    events = await own.events(AUDIT_STREAM, 2)
    assert events[-1]["event"] == "enrol-limited"
    assert (events[-1]["name"], events[-1]["about"]) == ("p-2", "line")


def test_rates_count_for_groups_and_hosts_alike():
    clock = ManualClock()
    rates = Rates(20, clock)
    fast = replace(LINE, per_minute=600)
    assert [rates.take(fast, "a") for _ in range(3)] == [True, True, False]
    assert rates.take(fast, "b")
    clock.advance(3_000)
    assert [rates.take(fast, "a") for _ in range(2)] == [True, False]


def test_what_is_remembered_of_hosts_is_bounded(monkeypatch):
    monkeypatch.setattr("gateway.server.enrolling.HOSTS_MAX", 5)
    rates = Rates(20, ManualClock())
    for number in range(20):
        rates.take(LINE, str(number))
    assert len(rates._buckets) == 5


async def test_there_are_so_many_applicants_and_no_more(gateway):
    own = await gateway(groups=[LINE], applicants_max=1)
    first = await applying(own, "p-1")
    assert Applying(own, "p-2").connect() == ReasonCode.SERVER_UNAVAILABLE
    first.client.lose()
    await until(lambda: not own.server.hub.gate.enrolment.applicants, "room")
    assert Applying(own, "p-2").connect() == ReasonCode.SUCCESS


async def test_an_applicant_is_no_device_that_is_here(gateway):
    own = await gateway(groups=[LINE])
    asking = await applying(own)
    await asking.ask()
    asking.client.lose()
    await turn(10)
    assert own.said("presence") == []


async def test_the_audit_tells_who_was_enrolled_and_for_whom(gateway):
    own = await gateway(groups=[LINE])
    await (await applying(own)).ask()
    (event,) = await own.events(AUDIT_STREAM, 1)
    assert (event["event"], event["name"]) == ("device-added", "p-9")
    assert event["by"] == f"group 'line', for {FAR[0]}"
    assert event["changes"]["group"] == [None, "line"]


async def test_a_refused_request_says_why(gateway):
    own = await gateway(groups=[LINE])
    asking = await applying(own)
    await own.put_group(replace(LINE, devices_max=1))
    await own.put(Device("p-1", group="line"))
    found = await asking.ask()
    assert found["status"] == "refused"
    assert "as many as it may have" in found["reason"]
    events = await own.events(AUDIT_STREAM, 3)
    assert events[-1]["event"] == "enrol-refused"
