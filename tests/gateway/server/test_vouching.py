from __future__ import annotations

import msgspec
import pytest

from gateway.clock import ManualClock
from gateway.devices import (
    AUDIT_STREAM,
    Device,
    EnrolmentGroup,
    GroupBook,
    Registry,
    encode_group,
    group_key,
    new_key,
    sign_token,
    signing_key,
)
from gateway.mqtt import Disconnect, ReasonCode
from gateway.server.access_options import AccessOptions
from gateway.server.permits import Proof
from gateway.server.vouching import NotAdmitted, Vouching, why_not_vouched
from tests.gateway.server.registered import V5, login, pump
from tests.harness.waiting import until

SECRET, OTHER = new_key(b"t" * 32), new_key(b"u" * 32)
FLEET = EnrolmentGroup("fleet", "token", "t-*", keys=(group_key(SECRET, "token", 0),))
CA = EnrolmentGroup("ca", "authority", "c-*", authorities=(b"ca-1", b"ca-2"))
NOW_S = 10**9
replace = msgspec.structs.replace


def token(device="t-1", expires_s=NOW_S + 60, secret=SECRET, group="fleet"):
    return sign_token(signing_key(secret.encode()), group, device, expires_s)


@pytest.fixture
def clock():
    return ManualClock(NOW_S * 1_000)


async def connack(own, device="t-1", **fields):
    """Connect with a token; returns the client and its reason code, when there is one."""
    client = own.client(V5)
    from gateway.mqtt import Connect

    client.send(Connect(device, V5, **login(device, token(device, **fields))))
    answers = []
    await until(lambda: answers.extend(client.heard()) or answers, "the CONNACK")
    return client, answers[0].reason_code


async def test_a_token_opens_and_makes_its_device_known(gateway, clock):
    own = await gateway(groups=[FLEET], clock=clock)
    client, code = await connack(own)
    assert code == ReasonCode.SUCCESS
    device = own.server.hub.gate.registry.get("t-1")
    assert (device.group, device.is_unused, device.keys) == ("fleet", False, ())
    client.lose()
    assert (await connack(own))[1] == ReasonCode.SUCCESS
    events = await own.events(AUDIT_STREAM, 1)
    assert [event["event"] for event in events] == ["device-added"]


async def test_a_connection_ends_with_its_token(gateway, clock):
    own = await gateway(Device("t-1", group="fleet"), groups=[FLEET], clock=clock)
    client, _ = await connack(own)
    clock.advance(59_999)
    own.server.hub.gate.sweep()
    assert client.is_open
    clock.advance(1)
    own.server.hub.gate.sweep()
    assert client.heard() == [Disconnect(ReasonCode.ADMINISTRATIVE_ACTION)]
    assert len(own.server.hub.gate.token_ends) == 0
    assert (await connack(own))[1] == ReasonCode.NOT_AUTHORIZED


async def test_a_late_clock_that_is_set_ends_what_is_over_at_once(gateway, clock):
    clock.doubt()
    clock.step(-86_400_000)
    own = await gateway(Device("t-1", group="fleet"), groups=[FLEET], clock=clock)
    client, code = await connack(own)
    assert code == ReasonCode.SUCCESS
    clock.step(2 * 86_400_000)
    own.server.hub.gate.sweep()
    assert client.heard() == [Disconnect(ReasonCode.ADMINISTRATIVE_ACTION)]


async def test_without_the_time_tokens_can_be_refused(gateway, clock):
    clock.doubt()
    own = await gateway(groups=[FLEET], clock=clock, doubtful_clock="refuse")
    assert (await connack(own))[1] == ReasonCode.SERVER_UNAVAILABLE
    clock.doubt(is_right=True)
    assert (await connack(own))[1] == ReasonCode.SUCCESS


@pytest.mark.parametrize(
    ("device", "fields", "code"),
    [
        ("t-1", {"secret": OTHER}, ReasonCode.BAD_USER_NAME_OR_PASSWORD),
        ("t-1", {"group": "none"}, ReasonCode.BAD_USER_NAME_OR_PASSWORD),
        ("t-1", {"expires_s": NOW_S}, ReasonCode.NOT_AUTHORIZED),
        ("x-1", {}, ReasonCode.NOT_AUTHORIZED),
        ("t-7", {}, ReasonCode.NOT_AUTHORIZED),
        ("t-8", {}, ReasonCode.NOT_AUTHORIZED),
        ("t-9", {}, ReasonCode.NOT_AUTHORIZED),
    ],
)
async def test_a_token_opens_nothing_else(gateway, clock, device, fields, code):
    others = [
        pump("t-7"),
        Device("t-8", group="other"),
        Device("t-9", group="fleet", status="disabled"),
    ]
    own = await gateway(*others, groups=[FLEET], clock=clock)
    assert (await connack(own, device, **fields))[1] == code


async def test_a_token_is_for_the_device_that_it_names(gateway, clock):
    own = await gateway(groups=[FLEET], clock=clock)
    code = own.client().connect("t-2", **login("t-2", token("t-1"))).reason_code
    assert code == ReasonCode.BAD_USER_NAME_OR_PASSWORD


async def test_when_the_groups_key_is_revoked_its_tokens_are_no_more(gateway, clock):
    own = await gateway(Device("t-1", group="fleet"), groups=[FLEET], clock=clock)
    client, _ = await connack(own)
    await own.put_group(replace(FLEET, keys=(group_key(OTHER, "token", 0),)))
    await until(lambda: not client.is_open, "its end")
    assert (await connack(own))[1] == ReasonCode.BAD_USER_NAME_OR_PASSWORD
    assert (await connack(own, secret=OTHER))[1] == ReasonCode.SUCCESS


async def test_a_device_that_leaves_its_group_is_sent_away(gateway, clock):
    own = await gateway(Device("t-1", group="fleet"), groups=[FLEET], clock=clock)
    client, _ = await connack(own)
    await own.put(Device("t-1", group="fleet", tags={"site": "n"}))
    assert client.is_open
    await own.put(Device("t-1"))
    await until(lambda: not client.is_open, "its end")


async def test_newcomers_may_have_to_wait_for_approval(gateway, clock):
    own = await gateway(groups=[replace(FLEET, approve="manual")], clock=clock)
    assert (await connack(own))[1] == ReasonCode.NOT_AUTHORIZED
    device = own.server.hub.gate.registry.get("t-1")
    assert device.status == "pending"
    await own.put(replace(device, status="active"))
    assert (await connack(own))[1] == ReasonCode.SUCCESS


async def test_newcomers_come_at_a_rate(gateway, clock):
    own = await gateway(groups=[replace(FLEET, per_minute=10)], clock=clock)
    assert (await connack(own))[1] == ReasonCode.SUCCESS
    assert (await connack(own, "t-2"))[1] == ReasonCode.QUOTA_EXCEEDED
    # Whoever is known already comes as often as it likes.
    assert (await connack(own))[1] == ReasonCode.SUCCESS


# Authorities


class ShowingGroup:
    """A transport's word on a certificate, as its TLS listener gives it."""

    def __init__(self, monkeypatch, group, sign=b"ca-1"):
        from gateway.server import access
        from gateway.server.identifying import Certificate

        def shown(connection, groups):
            name = connection.session_name
            names = {"subject": ((("commonName", name),),)}
            found = groups.get(group) if group else None
            return Certificate(names, found, sign if found else b"")

        monkeypatch.setattr(access, "certificate_of", shown)


async def certified(own, name):
    from gateway.mqtt import Connect

    client = own.client(V5)
    client.connection.session_name = name
    client.send(Connect(name, V5))
    answers = []
    await until(lambda: answers.extend(client.heard()) or answers, "the CONNACK")
    return client, answers[0].reason_code


@pytest.fixture
def of_ca(monkeypatch):
    return ShowingGroup(monkeypatch, "ca")


async def test_a_certificate_of_a_groups_authority_makes_its_device_known(gateway, of_ca):
    own = await gateway(groups=[CA])
    client, code = await certified(own, "c-1")
    assert code == ReasonCode.SUCCESS
    device = own.server.hub.gate.registry.get("c-1")
    assert (device.group, device.has_certificate, device.is_unused) == ("ca", True, False)
    await own.put_group(replace(CA, authorities=(b"ca-2",)))
    await until(lambda: not client.is_open, "its end")


async def test_an_authority_does_not_count_for_devices_of_others(gateway, of_ca):
    others = [Device("c-7", has_certificate=True), Device("c-8", keys=pump().keys)]
    own = await gateway(*others, groups=[CA])
    for name in ("c-7", "c-8", "x-1"):
        assert (await certified(own, name))[1] == ReasonCode.NOT_AUTHORIZED
    await own.put_group(replace(CA, status="revoked"))
    assert (await certified(own, "c-1"))[1] == ReasonCode.NOT_AUTHORIZED


async def test_other_certificates_count_as_before(gateway, monkeypatch):
    ShowingGroup(monkeypatch, "")
    own = await gateway(Device("c-7", has_certificate=True), groups=[CA])
    assert (await certified(own, "c-7"))[1] == ReasonCode.SUCCESS
    assert (await certified(own, "c-1"))[1] == ReasonCode.NOT_AUTHORIZED


def test_why_a_proof_counts_no_more():
    sign = FLEET.keys[0].sha256
    assert why_not_vouched(None, Proof("key")) == ""
    assert why_not_vouched(FLEET, Proof("token", group="fleet", sign=sign)) == ""
    assert "was revoked" in why_not_vouched(None, Proof("token", group="fleet", sign=sign))
    assert "key" in why_not_vouched(FLEET, Proof("token", group="fleet", sign=b"x"))


def test_a_group_whose_time_is_over_takes_no_newcomers(clock):
    groups = GroupBook()
    groups.put("fleet", encode_group(replace(FLEET, expires_ms=1)))
    vouching = Vouching(Registry(), groups, AccessOptions(), clock)
    from gateway.devices import parse_token
    from gateway.session import OpenState

    wish = OpenState("t-1", True, 0, "t-1", token().encode())
    with pytest.raises(NotAdmitted, match="its time is over"):
        vouching.by_token(wish, parse_token(token().encode()))
