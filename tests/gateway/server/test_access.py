from __future__ import annotations

import msgspec
import pytest

from gateway.devices import (
    AUDIT_STREAM,
    DEVICES_TABLE,
    Device,
    Role,
)
from gateway.mqtt import (
    Disconnect,
    Puback,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Will,
)
from gateway.server import PRESENCE_STREAM, hash_password
from gateway.store import Change
from tests.gateway.server.conftest import kept, stored, turn
from tests.gateway.server.registered import (
    FAR,
    LOCAL,
    OTHER,
    SECRET,
    V3,
    V5,
    login,
    pump,
)
from tests.harness.waiting import until

# Who gets in


async def test_until_somebody_has_credentials_everybody_gets_in(gateway):
    own = await gateway(Device("p-7"))
    assert own.client().connect("x", **login("who", "ever")).reason_code == ReasonCode.SUCCESS


@pytest.mark.parametrize(
    ("fields", "reason_code"),
    [
        (login("p-7", SECRET), ReasonCode.SUCCESS),
        (login("p-7", OTHER), ReasonCode.BAD_USER_NAME_OR_PASSWORD),
        (login("p-8", SECRET), ReasonCode.BAD_USER_NAME_OR_PASSWORD),
        ({"username": "p-7"}, ReasonCode.BAD_USER_NAME_OR_PASSWORD),
        ({}, ReasonCode.NOT_AUTHORIZED),
    ],
)
async def test_a_key_opens_and_nothing_else_does(gateway, fields, reason_code):
    own = await gateway(pump())
    assert own.client().connect("p-7", **fields).reason_code == reason_code


@pytest.mark.parametrize(("secret", "code"), [(OTHER, 4), (None, 5)])
async def test_a_refusal_has_the_return_code_of_3_1_1(gateway, secret, code):
    own = await gateway(pump())
    client = own.client(V3)
    fields = login("p-7", secret) if secret else {}
    found = client.connect("p-7", **fields).reason_code
    assert found == {4: ReasonCode.BAD_USER_NAME_OR_PASSWORD, 5: ReasonCode.NOT_AUTHORIZED}[code]


@pytest.mark.parametrize(
    ("anonymous", "peer", "gets_in"),
    [
        ("auto", LOCAL, False),
        ("loopback", LOCAL, True),
        ("loopback", FAR, False),
        ("never", LOCAL, False),
    ],
)
async def test_who_shows_nothing_gets_in_only_here_and_if_that_is_wanted(
    gateway, anonymous, peer, gets_in
):
    own = await gateway(pump(), anonymous=anonymous)
    code = own.client(peer=peer).connect("x").reason_code
    assert (code == ReasonCode.SUCCESS) is gets_in


async def test_with_credentials_required_nobody_from_elsewhere_gets_in_without(gateway):
    own = await gateway(credentials="required")
    assert own.client(peer=FAR).connect("x").reason_code == ReasonCode.NOT_AUTHORIZED
    assert own.client(peer=LOCAL).connect("x").reason_code == ReasonCode.SUCCESS


@pytest.mark.parametrize("status", ["disabled", "pending"])
async def test_only_an_active_device_gets_in(gateway, status):
    own = await gateway(pump(status=status))
    code = own.client().connect("p-7", **login("p-7", SECRET)).reason_code
    assert code == ReasonCode.NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("client_id", "gets_in"),
    [("p-7", True), ("p-7/console", True), ("", True), ("p-70", False), ("p-8", False)],
)
async def test_nobody_takes_the_client_identifier_of_another_device(gateway, client_id, gets_in):
    own = await gateway(pump())
    code = own.client().connect(client_id, **login("p-7", SECRET)).reason_code
    expected = ReasonCode.SUCCESS if gets_in else ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
    assert code == expected


async def test_a_will_is_for_a_topic_that_the_device_may_publish_to(gateway):
    own = await gateway(pump())
    will = Will("plant/p-8/gone", b"", 0, False)
    code = own.client().connect("p-7", **login("p-7", SECRET), will=will).reason_code
    assert code == ReasonCode.NOT_AUTHORIZED


async def test_a_device_has_so_many_clients_and_one_that_comes_back_is_none_more(gateway):
    own = await gateway(pump(), pump("p-8", OTHER), connections_per_device_max=2)
    clients = [own.client() for _ in range(4)]
    names = ["p-7", "p-7/a", "p-7/b", "p-7/a"]
    codes = [
        client.connect(name, **login("p-7", SECRET)).reason_code
        for client, name in zip(clients, names, strict=True)
    ]
    assert codes == [0, 0, ReasonCode.QUOTA_EXCEEDED, 0]
    own.joined("p-8", OTHER)


async def test_a_password_is_verified_beside_everything_else(gateway):
    person = Device("anna", role="operator", password=hash_password("correct horse"))
    own = await gateway(person)
    right, wrong = own.client(), own.client()
    for client, text in ((right, "correct horse"), (wrong, "wrong horse")):
        client.send(connect_of("anna", text))
    answers = await until(
        lambda: (found := [*right.heard(), *wrong.heard()]) and found, "the first answer"
    )
    await until(lambda: own.server.hub.gate._passwords.waiting == 0, "both")
    await turn(3)
    answers += [*right.heard(), *wrong.heard()]
    codes = sorted(answer.reason_code for answer in answers)
    assert codes == [ReasonCode.SUCCESS, ReasonCode.BAD_USER_NAME_OR_PASSWORD]


def connect_of(username, password):
    from gateway.mqtt import Connect

    return Connect(username, V5, **login(username, password))


# What it may do there


async def test_a_message_to_a_topic_of_another_is_refused_and_others_are_stored(gateway):
    own = await gateway(pump())
    client = own.joined()
    client.publish("plant/p-7/t", b"1")
    client.publish("plant/p-8/t", b"2")
    client.publish("plant/p-7/t", b"3")
    heard = []
    await until(lambda: heard.extend(client.heard()) or len(heard) == 3, "three answers")
    codes = {answer.packet_id: answer.reason_code for answer in heard}
    assert [codes[number] for number in (1, 2, 3)] == [0, ReasonCode.NOT_AUTHORIZED, 0]
    payloads = [b for slot, b in own.store.payloads().items() if slot[0] == "rest"]
    assert [one for found in payloads for one in found] == [b"1", b"3"]


async def test_in_3_1_1_a_message_that_may_not_be_is_acknowledged_and_dropped(gateway):
    own = await gateway(pump())
    client = own.joined(version=V3)
    (packet_id,) = client.publish("plant/p-8/t", b"2")
    await until(lambda: Puback(packet_id) in client.heard(), "the PUBACK")
    assert b"2" not in stored(own.server)


async def test_in_3_1_1_it_may_end_the_connection_instead(gateway):
    own = await gateway(pump(), denied_publish="close")
    client = own.joined(version=V3)
    client.publish("plant/p-8/t", b"2")
    assert not client.is_open


async def test_an_event_is_its_publishers_whatever_the_topic_says(gateway):
    own = await gateway(pump())
    client = own.joined()
    client.publish("power/p-7", b"1")
    client.publish("plant/p-7/p-8/t", b"2")
    await until(lambda: {b"1", b"2"} <= set(stored(own.server)), "both")
    devices = {
        record.device
        for log in own.store._logs.values()
        for batch in log.batches
        for record in batch.records()
        if record.client == "p-7"
    }
    assert devices == {"p-7"}


@pytest.mark.parametrize(("version", "code"), [(V5, 0x87), (V3, 0x80)])
async def test_a_filter_that_asks_for_more_is_refused(gateway, version, code):
    own = await gateway(pump())
    client = own.joined(version=version)
    wanted = ("plant/p-7/#", "#", "plant/+/t", "$share/g/plant/#", "$replay/earliest/plant/#")
    client.send(Subscribe(1, tuple(Subscription(name, 1) for name in wanted)))
    answers = []
    await until(lambda: answers.extend(client.heard()) or answers, "the SUBACK")
    assert isinstance(answers[0], Suback)
    assert [min(one, code) for one in answers[0].reason_codes] == [1, code, code, code, code]


async def test_of_what_it_asks_for_it_gets_what_it_may_read(gateway):
    role = Role(("plant/#",), ("plant/a/#",), ("plant/#",), "topic")
    own = await gateway(pump(), roles={"device": role})
    client = own.joined()
    await client.subscribe("plant/#")
    client.publish("plant/b/t", b"1", b"2", retain=True)
    client.publish("plant/a/t", b"3", retain=True)
    found = []
    await until(lambda: found.extend(client.deliveries()) or found, "a delivery")
    assert [message.payload for message in found] == [b"3"]
    assert [one.payload for one in await client.subscribe("plant/#")] in ([b"3"], [])
    await turn(5)
    assert {one.payload for one in client.deliveries()} <= {b"3"}


# What changes


async def test_a_device_that_is_disabled_is_sent_away_with_the_commit(gateway):
    own = await gateway(pump())
    client = own.joined()
    await own.put(pump(status="disabled"))
    assert client.heard() == [Disconnect(ReasonCode.ADMINISTRATIVE_ACTION)]
    gate = own.server.hub.gate
    await until(lambda: not gate.connections_of("p-7"), "its end")
    assert not client.is_open


async def test_a_rotated_key_goes_on_and_a_revoked_one_does_not(gateway):
    own = await gateway(pump())
    client = own.joined()
    await own.put(pump("p-7", SECRET, OTHER))
    assert client.is_open
    own.joined(secret=OTHER)
    await own.put(pump("p-7", OTHER))
    await until(lambda: not client.is_open, "the end of who came by the old key")


async def test_a_device_that_is_removed_is_gone(gateway):
    own = await gateway(pump(), pump("p-8", OTHER))
    client = own.joined()
    before = own.server.hub.gate.registry.encoded("p-7")
    await own.tables.change([Change(DEVICES_TABLE, "p-7", None, before)])
    await until(lambda: not client.is_open, "its end")


async def test_other_rights_count_for_who_is_here(gateway):
    role = Role(("plant/{site}/#",), ("plant/{site}/#",), (), "topic")
    own = await gateway(pump(tags={"site": "n"}), roles={"device": role})
    client = own.joined(**kept())
    await client.subscribe("plant/n/#")
    await own.put(pump(tags={"site": "s"}))
    assert client.is_open
    assert client.connection.session.state.grants_by_filter == {}
    (first,) = client.publish("plant/n/t", b"1")
    (second,) = client.publish("plant/s/t", b"2")
    heard = []
    await until(lambda: heard.extend(client.heard()) or len(heard) == 2, "two answers")
    codes = {answer.packet_id: answer.reason_code for answer in heard}
    assert (codes[first], codes[second]) == (ReasonCode.NOT_AUTHORIZED, 0)


async def test_a_session_comes_back_without_what_it_may_not_have_any_more(gateway):
    role = Role((), ("plant/{site}/#",))
    own = await gateway(pump(tags={"site": "n"}), roles={"device": role})
    client = own.joined(**kept())
    await client.subscribe("plant/n/#")
    client.lose()
    await turn(3)
    await own.put(pump(tags={"site": "s"}))
    again = own.client()
    assert again.connect("p-7", **login("p-7", SECRET), **kept()).session_present
    assert again.connection.session.state.grants_by_filter == {}


# Guessing, and what is reported


async def test_guessing_is_slowed_and_reported_and_the_right_key_is_not(gateway):
    own = await gateway(pump(), failures_max=2, refusal_delay_ms=3_600_000)
    for _ in range(2):
        code = own.client().connect("p-7", **login("p-7", OTHER)).reason_code
        assert code == ReasonCode.BAD_USER_NAME_OR_PASSWORD
    slow = own.client()
    slow.send(connect_of("p-7", OTHER))
    assert slow.heard() == []
    assert slow.is_open
    own.joined()
    kinds = [event["event"] for event in await own.events(AUDIT_STREAM, 2)]
    assert kinds == ["connect-refused", "guessing"]


async def test_denials_are_events_with_who_and_what(gateway):
    own = await gateway(pump())
    client = own.joined()
    client.publish("plant/p-8/t", b"1", b"2")
    client.send(Subscribe(9, (Subscription("#", 0),)))
    published, subscribed = await own.events(AUDIT_STREAM, 2)
    assert (published["event"], published["name"]) == ("publish-denied", "p-7")
    assert (published["about"], published["address"]) == ("plant/p-8/t", "192.0.2.7")
    assert (subscribed["event"], subscribed["about"]) == ("subscribe-denied", "#")


# Presence


async def test_a_device_is_here_from_its_first_client_to_its_last(gateway):
    own = await gateway(pump())
    first = own.joined()
    second = own.client()
    second.connect("p-7/two", **login("p-7", SECRET))
    first.send(Disconnect())
    await until(lambda: not first.is_open, "the end of the first")
    await turn(3)
    second.lose()
    came, left = await own.events(PRESENCE_STREAM, 2)
    assert (came["device"], came["state"], came["client_id"]) == ("p-7", "connected", "p-7")
    assert (left["state"], left["reason"]) == ("disconnected", "the connection was lost")


async def test_a_will_is_an_event_of_its_clients_device(gateway):
    own = await gateway(pump())
    will = Will("plant/p-7/p-9/gone", b"will", 0, False)
    client = own.joined(will=will)
    client.lose()
    await until(lambda: b"will" in stored(own.server), "the will")
    (record,) = [
        record
        for log in own.store._logs.values()
        for batch in log.batches
        for record in batch.records()
        if record.payload == b"will"
    ]
    assert record.device == "p-7"


async def test_an_entry_that_cant_be_read_lets_nobody_in(gateway, caplog):
    own = await gateway(pump())
    before = own.server.hub.gate.registry.encoded("p-7")
    await own.tables.change([Change(DEVICES_TABLE, "p-8", b"\xc1", None)])
    assert "'p-8'" in caplog.text
    assert before is not None
    assert msgspec.msgpack.decode(before)["id"] == "p-7"
    assert own.client().connect("p-8", **login("p-8", SECRET)).reason_code != ReasonCode.SUCCESS
