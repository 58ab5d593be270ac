from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.devices import DeviceQuota, Profile, ProfileBook
from gateway.mqtt import Disconnect, Pingreq, Pingresp, ProtocolVersion, Puback, Pubrec, ReasonCode
from gateway.mqtt import Publish as PublishPacket
from gateway.server import quotas
from gateway.server.options import QuotaOptions
from gateway.server.quotas import Quota, part_of
from gateway.session import PublishBatch
from tests.gateway.server.conftest import Client, kept, stored, turn
from tests.gateway.server.registered import SECRET, login, pump
from tests.harness.waiting import until


@pytest.fixture
def clock():
    return ManualClock(10**12)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(quotas, "WAIT_MS_MAX", 1)


@pytest.fixture
def limited(edge, clock):
    async def start(beyond="slow", messages_per_s=10, bytes_per_s=0, burst_ms=1_000):
        options = QuotaOptions(messages_per_s, bytes_per_s, burst_ms, beyond)
        return await edge(quota=options, clock=clock)

    return start


def connected(server, version=ProtocolVersion.V5, name="c"):
    client = Client(server, version)
    client.connect(name)
    return client


async def test_who_keeps_within_its_quota_notices_nothing(limited):
    server = await limited()
    client = connected(server)
    client.publish("t", *[b"x"] * 10)
    assert client.pipe.is_reading
    await until(lambda: len(stored(server)) == 10, "commits")


async def test_who_goes_beyond_is_not_read_until_the_debt_is_paid(limited, clock):
    server = await limited()
    client = connected(server)
    client.publish("t", *[b"x"] * 30)
    assert not client.pipe.is_reading
    await until(lambda: len(stored(server)) == 30, "commits")
    clock.advance(1_999)
    await turn(20)
    assert not client.pipe.is_reading
    clock.advance(1)
    await until(lambda: client.pipe.is_reading, "the client to be read again")
    assert server.hub.counters.throttles == 1


async def test_others_are_not_touched(limited):
    server = await limited()
    greedy, modest = connected(server, name="greedy"), connected(server, name="modest")
    greedy.publish("t", *[b"x"] * 100)
    modest.publish("t", b"y")
    assert modest.pipe.is_reading
    await until(lambda: any(isinstance(one, Puback) for one in modest.heard()), "an ack")


async def test_bytes_are_limited_as_well(limited, clock):
    server = await limited(messages_per_s=0, bytes_per_s=1_000)
    client = connected(server)
    client.publish("t", b"x" * 2_999)
    assert not client.pipe.is_reading
    clock.advance(2_000)
    await until(lambda: client.pipe.is_reading, "the client to be read again")


async def test_coming_back_does_not_pay_a_debt(limited, clock):
    server = await limited()
    client = connected(server)
    client.publish("t", *[b"x"] * 30)
    client.lose()
    again = connected(server)
    assert not again.pipe.is_reading
    clock.advance(2_000)
    await until(lambda: again.pipe.is_reading, "the client to be read again")
    again.lose()
    clock.advance(1_000)
    server.hub.sweep()
    assert len(server.hub.quotas) == 0
    assert server.hub.quotas.waiting == set()


async def test_a_takeover_does_not_pay_a_debt(limited):
    server = await limited()
    connected(server).publish("t", *[b"x"] * 30)
    assert not connected(server).pipe.is_reading


async def test_what_is_remembered_of_debtors_is_bounded(limited, monkeypatch):
    monkeypatch.setattr(quotas, "KEPT_MAX", 3)
    server = await limited()
    for number in range(6):
        client = connected(server, name=f"c{number}")
        client.publish("t", b"x")
        client.lose()
    assert len(server.hub.quotas) == 3


async def test_a_throttled_client_is_not_taken_for_dead(limited, clock):
    server = await limited(messages_per_s=1)
    client = Client(server)
    client.connect("c", keep_alive_s=10)
    client.publish("t", *[b"x"] * 60)
    for _ in range(5):
        clock.advance(8_000)
        server.hub.sweep()
    assert client.is_open


async def test_what_is_refused_is_told_message_by_message(limited):
    server = await limited("refuse")
    client = connected(server)
    ids = client.publish("t", *[b"x"] * 12)
    ids += client.publish("t", b"x", qos=2)
    acks = []
    await until(lambda: acks.extend(client.heard()) or len(acks) == 13, "every ack")
    codes = {packet.packet_id: packet.reason_code for packet in acks}
    assert [codes[one] for one in ids] == [0] * 10 + [ReasonCode.QUOTA_EXCEEDED] * 3
    assert isinstance(next(one for one in acks if one.packet_id == ids[12]), Pubrec)
    assert client.is_open
    assert client.pipe.is_reading
    assert server.hub.counters.quota_refused == 3
    await until(lambda: len(stored(server)) == 10, "commits")


async def test_a_refused_qos_2_message_can_be_sent_anew(limited, clock):
    server = await limited("refuse", messages_per_s=1)
    client = Client(server)
    client.connect("c", **kept())
    client.publish("t", b"x")
    client.send(PublishPacket("t", b"y", 2, 9))
    clock.advance(1_000)
    client.send(PublishPacket("t", b"y", 2, 9))
    acks = []
    await until(lambda: acks.extend(client.heard()) or len(acks) == 3, "every ack")
    codes = [one.reason_code for one in acks if isinstance(one, Pubrec)]
    assert codes == [ReasonCode.QUOTA_EXCEEDED, ReasonCode.SUCCESS]


async def test_who_can_not_be_told_is_closed(limited):
    server = await limited("refuse")
    older = connected(server, ProtocolVersion.V3_1_1, "older")
    older.publish("t", *[b"x"] * 11)
    await until(lambda: not older.is_open, "the 3.1.1 client to be closed")
    newer = connected(server, name="newer")
    newer.publish("t", *[b"x"] * 11, qos=0)
    await until(lambda: not newer.is_open, "the QoS 0 publisher to be closed")
    (farewell,) = (one for one in newer.heard() if isinstance(one, Disconnect))
    assert farewell.reason_code == ReasonCode.MESSAGE_RATE_TOO_HIGH
    await until(lambda: len(stored(server)) == 20, "commits")


async def test_dropping_loses_qos_0_alone_and_counts_it(limited):
    server = await limited("drop")
    client = connected(server)
    client.publish("t", *[b"x"] * 15, qos=0)
    assert client.pipe.is_reading
    client.publish("t", b"kept")
    assert not client.pipe.is_reading
    await until(lambda: len(stored(server)) == 11, "commits")
    assert server.hub.counters.quota_dropped == 5


async def test_a_repetition_of_qos_2_is_answered_beyond_the_quota(limited):
    server = await limited("refuse", messages_per_s=1)
    client = connected(server)
    client.send(PublishPacket("t", b"x", 2, 1))
    await until(client.heard, "a PUBREC")
    client.send(PublishPacket("t", b"x", 2, 1, dup=True), Pingreq())
    await turn(3)
    again, pong = client.heard()
    assert isinstance(again, Pubrec)
    assert isinstance(pong, Pingresp)


qoses = st.lists(st.integers(0, 2), min_size=1, max_size=20)


@given(qoses, st.data())
@settings(max_examples=80, deadline=None)
def test_two_parts_of_a_batch_have_every_packet_once(flags, drawn):
    indexes = drawn.draw(st.sets(st.integers(0, len(flags) - 1)))
    numbers = [index.to_bytes(2, "big") for index in range(len(flags))]
    batch = PublishBatch(
        numbers,
        numbers,
        [qos << 1 for qos in flags],
        [number for number, qos in zip(numbers, flags, strict=True) if qos == 1],
        None,
        [number for number, qos in zip(numbers, flags, strict=True) if qos == 2],
    )
    part = part_of(batch, sorted(indexes))
    expected = [numbers[index] for index in sorted(indexes)]
    assert list(part.topics) == list(part.payloads) == expected
    qos_of = dict(zip(numbers, flags, strict=True))
    assert list(part.packet_ids) == [number for number in expected if qos_of[number] == 1]
    assert list(part.received_ids) == [number for number in expected if qos_of[number] == 2]


def test_a_message_larger_than_every_burst_goes_through_into_debt():
    quota = Quota(QuotaOptions(bytes_per_s=100, burst_ms=1_000), 0)
    assert quota.can_begin(0)
    assert not quota.can_pay(1, 1_000, 0)
    quota.spend(1, 1_000, 0)
    assert quota.wait_ms(0) == 9_000
    assert not quota.can_begin(9_000)
    assert quota.is_full(11_000)


# Quotas of devices


@pytest.fixture
def device_quota(gateway, clock):
    """Start a server with one device that has this quota; profiles are what a test sets."""

    async def start(quota, **options):
        return await gateway(pump(quota=quota, profile="pump"), clock=clock, **options)

    return start


def named(own, client_id):
    """Another client of the device."""
    client = own.client()
    assert client.connect(client_id, **login("p-7", SECRET)).reason_code == ReasonCode.SUCCESS
    return client


def profiles(quota):
    return ProfileBook([Profile("pump", quota=quota)])


def usage(own):
    return own.server.hub.quotas.usage_of("p-7")


async def test_all_clients_of_a_device_share_its_quota(device_quota, clock):
    own = await device_quota(DeviceQuota(messages_per_s=10))
    one, two = (named(own, name) for name in ("p-7/a", "p-7/b"))
    one.publish("plant/p-7/t", *[b"x"] * 20)
    assert one.pipe.is_reading
    two.publish("plant/p-7/t", *[b"x"] * 20)
    assert not two.pipe.is_reading
    assert (usage(own).messages, usage(own).is_waiting) == (40, True)
    one.lose()
    two.lose()
    again = own.joined()
    assert not again.pipe.is_reading
    clock.advance(2_000)
    await until(lambda: again.pipe.is_reading, "the client to be read again")
    assert own.server.hub.quotas.devices == 1


@pytest.mark.parametrize("beyond", ["drop", "refuse"])
async def test_a_device_says_what_happens_beyond_its_quota(device_quota, beyond):
    own = await device_quota(DeviceQuota(messages_per_s=1, beyond=beyond))
    client = own.joined()
    client.publish("plant/p-7/t", *[b"x"] * 5, qos=0 if beyond == "drop" else 1)
    found = usage(own)
    assert (found.dropped, found.refused) == ((3, 0) if beyond == "drop" else (0, 3))


async def test_the_registry_goes_before_the_profile(device_quota):
    own = await device_quota(DeviceQuota(messages_per_s=0))
    own.server.hub.gate.profiles = profiles(DeviceQuota(messages_per_s=1, bytes_per_s=100))
    client = own.joined()
    client.publish("plant/p-7/t", *[b""] * 9)
    assert client.pipe.is_reading
    client.publish("plant/p-7/t", b"x" * 200)
    assert not client.pipe.is_reading


async def test_a_profile_says_how_many_clients_a_device_may_have(device_quota):
    own = await device_quota(DeviceQuota())
    own.server.hub.gate.profiles = profiles(DeviceQuota(connections_max=1))
    named(own, "p-7/a")
    client = own.client()
    code = client.connect("p-7/b", **login("p-7", SECRET)).reason_code
    assert code == ReasonCode.QUOTA_EXCEEDED


async def test_another_quota_counts_for_who_is_here(device_quota):
    own = await device_quota(DeviceQuota(messages_per_s=1))
    client = own.joined()
    client.publish("plant/p-7/t", *[b"x"] * 9)
    assert not client.pipe.is_reading
    await own.put(pump(quota=DeviceQuota(messages_per_s=50)))
    assert client.pipe.is_reading
    client.publish("plant/p-7/t", *[b"x"] * 99)
    assert client.pipe.is_reading
    await own.put(pump(quota=DeviceQuota()))
    assert client.connection.quota is None


async def test_who_has_no_quota_has_no_usage(device_quota):
    own = await device_quota(DeviceQuota(connections_max=3))
    own.joined()
    assert usage(own) == quotas.Usage()
