from __future__ import annotations

import pytest

from gateway.mqtt import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    Properties,
    ProtocolVersion,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from gateway.session import (
    Append,
    Appended,
    CloseConnection,
    ConnectionLost,
    ConnectRefused,
    Failure,
    KeepAliveElapsed,
    KeepState,
    Opened,
    OpenState,
    Pubacks,
    PublishBatch,
    PublishWill,
    ServerStopping,
    SessionState,
    TakenOver,
)

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
BOTH = [V3, V5]
DAY_MS = 86_400_000
WILL = Will("plant/gone", b"bye", qos=1)
PACKETS = {
    "PUBLISH": Publish("t", b"x"),
    "PUBACK": Puback(1),
    "PUBREC": Pubrec(1),
    "PUBREL": Pubrel(1),
    "PUBCOMP": Pubcomp(1),
    "SUBSCRIBE": Subscribe(1, (Subscription("t"),)),
    "UNSUBSCRIBE": Unsubscribe(1, ("t",)),
    "PINGREQ": Pingreq(),
    "DISCONNECT": Disconnect(),
    "AUTH": Auth(ReasonCode.CONTINUE_AUTHENTICATION),
    "lane": PublishBatch([b"t"], [b"x"], [0], []),
    "short PUBACKs": Pubacks([b"\x00\x01"]),
}


def ended(script, *, keeps=True):
    """The effects of an ending, after whatever the client was told."""
    kept = [KeepState(script.session.state)] if keeps else []
    return [CloseConnection(), *kept]


# Before the CONNECT


@pytest.mark.spec("MQTT5-3.1.0-1")
@pytest.mark.spec("MQTT311-3.1.0-1")
@pytest.mark.parametrize("name", PACKETS)
def test_nothing_but_connect_opens_a_conversation(script, name):
    fresh = script()
    assert fresh.feed(PACKETS[name]) == [CloseConnection()]
    assert (fresh.sent, fresh.phase) == ([], "CLOSED")


@pytest.mark.parametrize(
    "ending", [ConnectionLost(), ServerStopping(), Failure(ReasonCode.MALFORMED_PACKET)]
)
def test_an_ending_before_the_connect_just_closes(script, ending):
    fresh = script()
    assert fresh.feed(ending) == [CloseConnection()]
    assert fresh.sent == []


@pytest.mark.spec("MQTT311-3.1.2-2")
@pytest.mark.parametrize("version", [3, 4])
def test_an_unspoken_version_is_refused_in_the_form_of_3_1_1(script, version):
    fresh = script()
    refusal = Failure(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, version)
    assert fresh.feed(refusal) == [CloseConnection()]
    assert fresh.raw == b"\x20\x02\x00\x01"


@pytest.mark.parametrize("version", [5, 6])
def test_an_unspoken_version_beyond_5_is_refused_in_the_form_of_5(script, version):
    fresh = script()
    fresh.feed(Failure(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, version))
    assert fresh.raw == b"\x20\x03\x00\x84\x00"


# Connecting


@pytest.mark.parametrize("version", BOTH)
def test_a_connect_asks_for_the_clients_state(script, version):
    fresh = script()
    assert fresh.feed(Connect("c", version, clean_start=True)) == [OpenState("c", True, 0)]
    assert (fresh.sent, fresh.phase) == ([], "OPENING")


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("is_present", [False, True])
def test_the_connack_waits_for_the_state_and_tells_whether_it_was_there(
    script, version, is_present
):
    connack = script().connect(Connect("c", version, clean_start=False), is_present=is_present)
    assert (connack.session_present, connack.reason_code) == (is_present, ReasonCode.SUCCESS)


def test_a_client_of_mqtt_3_1_is_served_and_not_told_of_its_session(script):
    connect = Connect("c", ProtocolVersion.V3_1_1, clean_start=False, is_v3_1=True)
    assert script().connect(connect, is_present=True) == Connack(session_present=False)


def test_a_session_of_3_1_1_that_is_not_clean_lasts_as_long_as_it_may(script):
    fresh = script(session_expiry_ms_max=7 * DAY_MS)
    assert fresh.feed(Connect("c", V3, clean_start=False)) == [OpenState("c", False, 7 * DAY_MS)]


@pytest.mark.parametrize(
    ("asked_s", "granted_ms", "told_s"),
    [
        (None, 0, None),
        (0, 0, None),
        (60, 60_000, None),
        (86_400, DAY_MS, None),
        (86_401, DAY_MS, 86_400),
        (0xFFFFFFFF, DAY_MS, 86_400),
    ],
)
def test_a_session_of_5_lasts_as_long_as_asked_up_to_the_limit_which_is_told(
    script, asked_s, granted_ms, told_s
):
    fresh = script(session_expiry_ms_max=DAY_MS)
    asked = Properties(session_expiry_interval_s=asked_s)
    connack = fresh.connect(Connect("c", V5, properties=asked))
    assert fresh.session.state.expiry_ms == granted_ms
    assert connack.properties.session_expiry_interval_s == told_s


def test_the_connack_of_5_announces_the_limits(script):
    fresh = script(packet_bytes_max=5_000, receive_maximum=7, topic_alias_maximum=3)
    offer = fresh.connect(Connect("c", V5)).properties
    assert (offer.maximum_packet_size, offer.receive_maximum, offer.topic_alias_maximum) == (
        5_000,
        7,
        3,
    )
    assert offer.shared_subscription_available in {0, None}


def test_the_connack_of_3_1_1_is_four_bytes(connected):
    assert connected(V3).raw == b"\x20\x02\x00\x00"


@pytest.mark.spec("MQTT5-3.2.2-16")
def test_a_client_without_a_name_is_given_one_and_told(script):
    fresh = script()
    assert fresh.feed(Connect("", V5)) == [OpenState("auto-1", True, 0)]
    fresh.feed(Opened(SessionState("auto-1"), False))
    assert fresh.sent[0].properties.assigned_client_id == "auto-1"
    assert fresh.session.client_id == "auto-1"


def test_a_client_with_a_name_is_not_told_it(connected):
    assert connected().sent[0].properties.assigned_client_id is None


@pytest.mark.parametrize(
    ("version", "raw"), [(V3, b"\x20\x02\x00\x02"), (V5, b"\x20\x03\x00\x85\x00")]
)
def test_a_client_identifier_of_too_many_bytes_is_refused(script, version, raw):
    fresh = script(client_id_bytes_max=5)
    assert fresh.feed(Connect("ääa", version)) == [OpenState("ääa", True, 0)]
    fresh = script(client_id_bytes_max=5)
    assert fresh.feed(Connect("äää", version)) == [CloseConnection()]
    assert (fresh.plain, fresh.phase) == (raw, "CLOSED")


@pytest.mark.spec("MQTT5-4.12.0-1")
def test_enhanced_authentication_is_refused(script):
    fresh = script()
    asked = Properties(authentication_method="SCRAM-SHA-1")
    assert fresh.feed(Connect("c", V5, properties=asked)) == [CloseConnection()]
    assert fresh.plain == b"\x20\x03\x00\x8c\x00"


@pytest.mark.parametrize(
    ("version", "reason_code", "raw"),
    [
        (V5, ReasonCode.SERVER_BUSY, b"\x20\x03\x00\x89\x00"),
        (V5, ReasonCode.NOT_AUTHORIZED, b"\x20\x03\x00\x87\x00"),
        (V3, ReasonCode.SERVER_BUSY, b"\x20\x02\x00\x03"),
        (V3, ReasonCode.NOT_AUTHORIZED, b"\x20\x02\x00\x05"),
        (V3, ReasonCode.SERVER_MOVED, b""),
    ],
)
def test_a_refused_client_is_told_as_its_version_can(script, version, reason_code, raw):
    fresh = script()
    fresh.feed(Connect("c", version))
    assert fresh.feed(ConnectRefused(reason_code)) == [CloseConnection()]
    assert (fresh.raw, fresh.phase) == (raw, "CLOSED")


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("ending", [ConnectionLost(), ServerStopping()])
def test_an_ending_while_the_state_is_looked_for_keeps_nothing(script, version, ending):
    fresh = script()
    fresh.feed(Connect("c", version, will=WILL))
    assert fresh.feed(ending) == [CloseConnection()]
    assert fresh.feed(Opened(SessionState("c"), False)) == []


@pytest.mark.spec("MQTT5-3.1.0-2")
@pytest.mark.spec("MQTT311-3.1.0-2")
@pytest.mark.parametrize(("version", "raw"), [(V3, b""), (V5, b"\xe0\x01\x82")])
def test_a_second_connect_ends_the_conversation(connected, version, raw):
    script = connected(version)
    assert script.feed(Connect("c", version)) == ended(script)
    assert script.plain == raw


# Keep-alive


@pytest.mark.parametrize(
    ("asked_s", "keep_alive_ms"), [(0, 0), (1, 1_500), (10, 15_000), (65_535, 98_302_500)]
)
@pytest.mark.parametrize("version", BOTH)
def test_the_keep_alive_is_one_and_a_half_times_what_was_asked(
    connected, version, asked_s, keep_alive_ms
):
    script = connected(version, connect={"keep_alive_s": asked_s}, keep_alive_s_max=65_535)
    assert script.session.keep_alive_ms == keep_alive_ms


@pytest.mark.parametrize(
    ("asked_s", "told_s", "keep_alive_ms"),
    [(5, None, 7_500), (10, None, 15_000), (11, 10, 15_000), (0, 10, 15_000)],
)
def test_a_client_of_5_is_told_when_its_keep_alive_is_shortened(
    connected, asked_s, told_s, keep_alive_ms
):
    script = connected(connect={"keep_alive_s": asked_s}, keep_alive_s_max=10)
    assert script.sent[0].properties.server_keep_alive_s == told_s
    assert script.session.keep_alive_ms == keep_alive_ms


def test_a_client_of_3_1_1_keeps_what_it_asked_for(connected):
    script = connected(V3, connect={"keep_alive_s": 100}, keep_alive_s_max=10)
    assert script.session.keep_alive_ms == 150_000


@pytest.mark.spec("MQTT5-3.1.2-22")
@pytest.mark.spec("MQTT311-3.1.2-24")
@pytest.mark.parametrize(("version", "raw"), [(V3, b""), (V5, b"\xe0\x01\x8d")])
def test_silence_beyond_the_keep_alive_closes(connected, version, raw):
    script = connected(version, connect={"will": WILL})
    assert script.feed(KeepAliveElapsed()) == [PublishWill(WILL), *ended(script)]
    assert script.plain == raw


@pytest.mark.spec("MQTT5-3.12.4-1")
@pytest.mark.spec("MQTT311-3.12.4-1")
@pytest.mark.parametrize("version", BOTH)
def test_a_ping_is_answered(connected, version):
    script = connected(version)
    assert script.feed(Pingreq()) == []
    assert script.sent == [Pingresp()]


# Receiving


@pytest.mark.spec("MQTT5-4.3.2-4")
@pytest.mark.spec("MQTT311-4.3.2-2")
@pytest.mark.parametrize("version", BOTH)
def test_puback_waits_for_the_store(connected, version):
    script = connected(version)
    (append,) = script.publish(Publish("plant/pump-7/temp", b"21.5", 1, packet_id=9))
    assert isinstance(append, Append)
    assert (append.batch.topics, append.batch.payloads) == ([b"plant/pump-7/temp"], [b"21.5"])
    assert script.sent == []
    assert script.feed(Appended(append.batch.packet_ids)) == []
    assert script.sent == [Puback(9)]


@pytest.mark.parametrize("incoming", [PACKETS["PUBLISH"], PACKETS["lane"]])
def test_a_failure_in_the_middle_ends_the_conversation(connected, incoming):
    script = connected()
    script.feed(incoming)
    assert script.feed(Failure(ReasonCode.TOPIC_NAME_INVALID)) == ended(script)
    assert script.sent == [Disconnect(ReasonCode.TOPIC_NAME_INVALID)]


# Ending


@pytest.mark.spec("MQTT5-3.14.4-3")
@pytest.mark.spec("MQTT311-3.14.4-3")
@pytest.mark.parametrize("version", BOTH)
def test_a_normal_disconnect_discards_the_will(connected, version):
    script = connected(version, connect={"will": WILL})
    assert script.feed(Disconnect()) == ended(script)
    assert script.sent == []


def test_a_disconnect_can_ask_for_the_will(connected):
    script = connected(connect={"will": WILL})
    effects = script.feed(Disconnect(ReasonCode.DISCONNECT_WITH_WILL_MESSAGE))
    assert effects == [PublishWill(WILL), *ended(script)]


@pytest.mark.spec("MQTT5-3.1.2-8")
@pytest.mark.spec("MQTT311-3.1.2-8")
@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize(
    ("ending", "reason_code"),
    [
        (ConnectionLost(), None),
        (TakenOver(), ReasonCode.SESSION_TAKEN_OVER),
        (ServerStopping(), ReasonCode.SERVER_SHUTTING_DOWN),
        (Failure(ReasonCode.MALFORMED_PACKET), ReasonCode.MALFORMED_PACKET),
        (Failure(ReasonCode.PACKET_TOO_LARGE), ReasonCode.PACKET_TOO_LARGE),
    ],
)
def test_every_other_end_publishes_the_will_and_keeps_the_state(
    connected, version, ending, reason_code
):
    script = connected(version, connect={"will": WILL})
    if isinstance(ending, ConnectionLost):
        reason_code = None
    assert script.feed(ending) == [PublishWill(WILL), *ended(script)]
    is_told = version is V5 and reason_code is not None
    assert script.sent == ([Disconnect(reason_code)] if is_told else [])


@pytest.mark.spec("MQTT5-3.1.4-3")
@pytest.mark.spec("MQTT311-3.1.4-2")
@pytest.mark.parametrize(("version", "raw"), [(V3, b""), (V5, b"\xe0\x01\x8e")])
def test_a_client_that_is_taken_over_is_told_and_closed(connected, version, raw):
    script = connected(version)
    assert script.feed(TakenOver()) == ended(script)
    assert script.plain == raw


def test_without_a_will_none_is_published(connected):
    script = connected()
    assert script.feed(ConnectionLost()) == ended(script)


def test_the_will_is_published_once(connected):
    script = connected(connect={"will": WILL})
    assert PublishWill(WILL) in script.feed(ConnectionLost())
    assert script.feed(ConnectionLost()) == []


def test_an_auth_that_was_never_agreed_on_ends_the_conversation(connected):
    script = connected()
    assert script.feed(PACKETS["AUTH"]) == ended(script)
    assert script.sent == [Disconnect(ReasonCode.PROTOCOL_ERROR)]


@pytest.mark.parametrize("incoming", [*PACKETS.values(), KeepAliveElapsed(), TakenOver()])
def test_after_the_end_nothing_is_answered(connected, incoming):
    script = connected()
    script.feed(ConnectionLost())
    assert script.feed(incoming) == []
    assert (script.sent, script.phase) == ([], "CLOSED")


@pytest.mark.parametrize(
    ("asked_s", "changed_s", "expiry_ms"),
    [(60, None, 60_000), (60, 0, 0), (60, 5, 5_000), (60, 0xFFFFFFFF, DAY_MS), (0, 0, 0)],
)
def test_a_disconnect_may_change_how_long_the_session_lasts(
    connected, asked_s, changed_s, expiry_ms
):
    asked = Properties(session_expiry_interval_s=asked_s)
    script = connected(connect={"properties": asked}, session_expiry_ms_max=DAY_MS)
    effects = script.feed(Disconnect(properties=Properties(session_expiry_interval_s=changed_s)))
    assert effects == ended(script)
    assert (script.sent, script.session.state.expiry_ms) == ([], expiry_ms)


def test_a_session_that_was_to_end_at_once_can_not_be_made_to_last(connected):
    script = connected(connect={"will": WILL})
    effects = script.feed(Disconnect(properties=Properties(session_expiry_interval_s=1)))
    assert effects == [PublishWill(WILL), *ended(script)]
    assert script.sent == [Disconnect(ReasonCode.PROTOCOL_ERROR)]
    assert script.session.state.expiry_ms == 0


@pytest.mark.spec("MQTT311-4.8.0-2")
@pytest.mark.parametrize("reason_code", sorted({code for code in ReasonCode if code.is_failure}))
@pytest.mark.parametrize("version", BOTH)
def test_any_failure_ends_the_conversation_without_an_error_of_ours(
    connected, version, reason_code
):
    script = connected(version)
    assert script.feed(Failure(reason_code)) == ended(script)


def test_a_reason_that_a_disconnect_can_not_say_is_an_unspecified_error(connected):
    script = connected()
    script.feed(Failure(ReasonCode.BAD_USER_NAME_OR_PASSWORD))
    assert script.sent == [Disconnect(ReasonCode.UNSPECIFIED_ERROR)]


@pytest.mark.parametrize("version", BOTH)
def test_the_gateways_own_client_ids_are_refused(script, version):
    fresh = script()
    fresh.feed(Connect("$rules", version))
    assert fresh.phase == "CLOSED"
    assert fresh.sent[0].reason_code == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
