from __future__ import annotations

import random

import pytest

from gateway.events import Flag
from gateway.mqtt import (
    Disconnect,
    Properties,
    ProtocolVersion,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    Sender,
    decode_packet,
    decode_publish_properties,
    encode_properties,
)
from gateway.session import (
    CloseConnection,
    Delivery,
    Grant,
    KeepState,
    Outgoing,
    Position,
    Pubacks,
    Resume,
    SendSaved,
    SessionState,
    Terms,
)

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
BOTH = [V3, V5]
PLAIN = Terms(2, no_local=False, retain_as_published=False, subscription_ids=b"")
ARRIVAL_MS = 1_767_323_045_678


def message(payload=b"x", qos=1, *, retain=False, properties=b"", topic=b"t"):
    flags = qos << 1 | (Flag.RETAIN if retain else 0)
    return Outgoing(topic, payload, flags, properties, ARRIVAL_MS)


def place(offset=0, qos=1):
    return Position("telemetry", 2, offset, qos)


def delivery(version=V5, *, state=None, in_flight_max=10, packet_bytes_max=None):
    state = SessionState("c", expiry_ms=None) if state is None else state
    return Delivery(state, version, in_flight_max, packet_bytes_max)


def sent(made, version=V5):
    """What the client reads in the outbox, which is empty then."""
    written, made.outbox = b"".join(made.outbox), []
    packets, at = [], 0
    while at < len(written):
        packet, at = decode_packet(written, at, version, 1 << 28, Sender.SERVER)
        packets.append(packet)
    return packets


# Terms


@pytest.mark.spec("MQTT5-3.3.4-2")
@pytest.mark.spec("MQTT5-3.3.4-4")
@pytest.mark.spec("MQTT311-3.3.5-1")
def test_overlapping_grants_give_the_highest_qos_and_every_identifier():
    terms = Terms.of(
        [Grant("a", 0), Grant("a/#", 2, subscription_id=7), Grant("+", 1, subscription_id=3)]
    )
    assert terms.qos == 2
    assert decode_publish_properties(terms.subscription_ids).subscription_ids == (7, 3)


def test_own_messages_are_kept_away_only_when_every_grant_wants_that():
    away = Terms.of([Grant("a", 0, no_local=True)])
    assert (away.for_message_of("c", "c"), away.for_message_of("d", "c")) == (None, away)
    taken = Terms.of([Grant("+", 0)])
    assert taken.for_message_of("c", "c") == taken


@pytest.mark.spec("MQTT5-3.8.3-3")
def test_own_messages_come_by_the_grants_that_want_them_and_no_other():
    far, near = Grant("a", 2, no_local=True, subscription_id=7), Grant("+", 1, subscription_id=3)
    terms = Terms.of([far, near])
    assert terms.for_message_of("c", "c") == Terms.of([near])
    assert (terms.for_message_of("d", "c"), terms.qos) == (terms, 2)


def test_retain_is_kept_as_published_when_one_grant_wants_that():
    assert Terms.of([Grant("a", 0), Grant("+", 0, retain_as_published=True)]).retain_as_published
    assert not Terms.of([Grant("a", 0)]).retain_as_published


def test_a_grant_with_a_start_is_told_places():
    assert Terms.of([Grant("a", 0), Grant("+", 0, start="-1h")]).tells_place
    assert not Terms.of([Grant("a", 0)]).tells_place


# What is sent


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("published", [0, 1, 2])
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_a_message_has_the_lower_qos_of_publication_and_grant(version, published, granted):
    made = delivery(version)
    assert made.offer(message(qos=published), PLAIN._replace(qos=granted), place(5, published))
    qos = min(published, granted)
    assert sent(made, version) == [Publish("t", b"x", qos, 1 if qos else 0)]
    expected = [Position("telemetry", 2, 5, qos)] if qos else []
    assert list(made._state.in_flight.values()) == expected


@pytest.mark.spec("MQTT5-3.3.1-12")
@pytest.mark.spec("MQTT311-3.3.1-9")
@pytest.mark.parametrize("version", BOTH)
def test_a_live_message_is_not_marked_as_retained(version):
    made = delivery(version)
    made.offer(message(retain=True), PLAIN, place())
    assert not sent(made, version)[0].retain


@pytest.mark.spec("MQTT5-3.3.1-13")
@pytest.mark.parametrize("retain", [False, True])
def test_retain_as_published_keeps_the_mark(retain):
    made = delivery()
    made.offer(message(retain=retain), PLAIN._replace(retain_as_published=True), place())
    assert sent(made)[0].retain == retain


@pytest.mark.spec("MQTT311-3.3.1-8")
@pytest.mark.parametrize("version", BOTH)
def test_a_message_that_a_subscription_brought_is_marked_as_retained(version):
    made = delivery(version)
    made.offer(message(retain=True), PLAIN, place(), is_retained=True)
    assert sent(made, version)[0].retain


@pytest.mark.spec("MQTT5-3.3.4-3")
def test_properties_and_subscription_identifiers_are_for_version_5():
    own = Properties(content_type="json", user_properties=(("a", "b"),))
    terms = Terms.of([Grant("t", 1, subscription_id=7)])
    outgoing = message(properties=encode_properties(own))
    made = delivery(V5)
    made.offer(outgoing, terms, place())
    assert sent(made)[0].properties == own._replace(subscription_ids=(7,))
    made = delivery(V3)
    made.offer(outgoing, terms, place())
    assert sent(made, V3) == [Publish("t", b"x", 1, 1)]


def test_a_message_tells_where_it_lies_to_who_asked():
    made = delivery()
    made.offer(message(), PLAIN._replace(tells_place=True), place(41))
    assert sent(made)[0].properties.user_properties == (
        ("penstock-stream", "telemetry"),
        ("penstock-partition", "2"),
        ("penstock-offset", "41"),
        ("penstock-time", "2026-01-02T03:04:05.678Z"),
    )


def test_a_retained_message_has_no_place_to_tell():
    made = delivery()
    made.offer(message(), PLAIN._replace(tells_place=True), Position("", 0, 0, 1, "t"))
    assert sent(made)[0].properties == Properties()


def test_a_message_is_encoded_once_for_each_form():
    outgoing = message()
    terms = [PLAIN, PLAIN._replace(qos=0), Terms.of([Grant("t", 1, subscription_id=7)])]
    for version in BOTH:
        for each in terms * 3:
            delivery(version).offer(outgoing, each, place())
    assert len(outgoing._parts_by_form) == 6


def test_what_is_sent_with_qos_2_to_a_session_that_lives_on_must_be_saved_first():
    made = delivery()
    made.offer(message(qos=1), PLAIN, place())
    assert not made.must_save
    made.offer(message(qos=2), PLAIN, place())
    assert made.must_save
    made = delivery(state=SessionState("c", expiry_ms=0))
    made.offer(message(qos=2), PLAIN, place())
    assert not made.must_save


# Maximum packet size


@pytest.mark.spec("MQTT5-3.1.2-24")
@pytest.mark.spec("MQTT5-3.1.2-25")
@pytest.mark.parametrize("qos", [0, 1])
def test_what_the_client_can_not_take_is_as_good_as_sent(qos):
    whole = delivery()
    whole.offer(message(b"x" * 200, qos), PLAIN, place())
    size = len(b"".join(whole.outbox))
    exact = delivery(packet_bytes_max=size)
    assert exact.offer(message(b"x" * 200, qos), PLAIN, place())
    assert (len(b"".join(exact.outbox)), exact.dropped) == (size, 0)
    small = delivery(packet_bytes_max=size - 1)
    assert small.offer(message(b"x" * 200, qos), PLAIN, place())
    assert (small.outbox, small.dropped, small._state.in_flight) == ([], 1, {})


def test_what_is_too_large_is_dropped_even_when_the_window_is_full():
    made = delivery(in_flight_max=1, packet_bytes_max=50)
    assert made.offer(message(), PLAIN, place())
    assert made.offer(message(b"x" * 60), PLAIN, place())
    assert made.dropped == 1


# The window


@pytest.mark.spec("MQTT5-3.3.4-9")
@pytest.mark.spec("MQTT5-4.9.0-2")
@pytest.mark.parametrize("version", BOTH)
def test_a_full_window_takes_nothing_and_changes_nothing(version):
    made = delivery(version, in_flight_max=2)
    assert made.offer(message(b"1"), PLAIN, place(1))
    assert made.has_room
    assert made.offer(message(b"2"), PLAIN, place(2))
    before = list(made.outbox), dict(made._state.in_flight), made._state.last_packet_id
    assert not made.has_room
    assert not made.offer(message(b"3"), PLAIN, place(3))
    assert (list(made.outbox), made._state.in_flight, made._state.last_packet_id) == before


def test_a_message_of_qos_0_needs_no_room():
    made = delivery(in_flight_max=1)
    made.offer(message(b"1"), PLAIN, place(1))
    assert made.offer(message(b"2", qos=0), PLAIN, place(2))
    assert [packet.payload for packet in sent(made)] == [b"1", b"2"]


def test_an_acknowledgement_makes_room():
    made = delivery(in_flight_max=1)
    made.offer(message(b"1"), PLAIN, place(1))
    made._state.in_flight.clear()
    assert made.has_room
    assert made.offer(message(b"2"), PLAIN, place(2))


def test_what_waits_for_its_pubcomp_takes_room():
    state = SessionState("c", releasing={b"\x00\x01": None})
    made = delivery(state=state, in_flight_max=1)
    assert not made.has_room
    assert not made.offer(message(), PLAIN, place())


def test_a_session_that_comes_back_to_a_smaller_window_waits():
    state = SessionState("c", in_flight=dict.fromkeys([b"\x00\x01", b"\x00\x02"], place()))
    made = delivery(state=state, in_flight_max=1)
    assert not made.has_room
    del state.in_flight[b"\x00\x01"]
    assert not made.has_room
    del state.in_flight[b"\x00\x02"]
    assert made.has_room


def test_identifiers_in_flight_are_stepped_over_at_the_wrap_around():
    state = SessionState("c", last_packet_id=65_534)
    state.in_flight = {b"\x00\x01": place(), b"\x00\x02": place()}
    made = delivery(state=state)
    for _ in range(3):
        made.offer(message(), PLAIN, place())
    assert [packet.packet_id for packet in sent(made)] == [65_535, 3, 4]


@pytest.mark.parametrize("seed", range(5))
def test_a_window_never_holds_more_than_it_may_nor_two_of_one_identifier(seed):
    rng = random.Random(seed)
    state = SessionState("c", last_packet_id=rng.randrange(65_536))
    made = delivery(state=state, in_flight_max=7)
    client = {}
    for offset in range(600):
        was_full = len(client) >= 7
        assert made.offer(message(b"%d" % offset), PLAIN, place(offset)) is not was_full
        for packet in sent(made):
            assert packet.packet_id not in client
            client[packet.packet_id] = int(packet.payload)
        in_flight = {int.from_bytes(key, "big"): at.offset for key, at in state.in_flight.items()}
        assert in_flight == client
        for packet_id in rng.sample(sorted(client), k=min(len(client), rng.choice([0, 0, 1, 2]))):
            del client[packet_id]
            del state.in_flight[packet_id.to_bytes(2, "big")]


# Once more


@pytest.mark.spec("MQTT5-4.4.0-1")
@pytest.mark.spec("MQTT5-3.3.1-1")
@pytest.mark.spec("MQTT311-4.4.0-1")
@pytest.mark.spec("MQTT311-3.3.1-1")
@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("qos", [1, 2])
def test_a_repetition_has_the_same_identifier_and_is_marked(version, qos):
    first = delivery(version)
    first.offer(message(b"x", qos, retain=True), PLAIN, place(5, qos))
    (packet,) = sent(first, version)
    again = delivery(version, state=first._state)
    ((packet_id, position),) = first._state.in_flight.items()
    again.repeat(message(b"x", qos, retain=True), PLAIN, packet_id, position.qos)
    (repeated,) = sent(again, version)
    assert repeated == Publish("t", b"x", qos, packet.packet_id, dup=True)
    assert len(first._state.in_flight) == 1


def test_the_same_message_is_still_new_to_others_after_a_repetition():
    outgoing = message()
    delivery().repeat(outgoing, PLAIN, b"\x00\x01", 1)
    made = delivery()
    made.offer(outgoing, PLAIN, place())
    assert not sent(made)[0].dup


@pytest.mark.parametrize("version", BOTH)
def test_every_release_is_repeated_in_order(version):
    state = SessionState("c", expiry_ms=None, releasing={b"\x00\x05": None, b"\x00\x03": None})
    made = delivery(version, state=state)
    made.repeat_releases()
    # What the disk has refused so far must be saved first.
    assert made.must_save == state.is_kept
    assert sent(made, version) == [Pubrel(5), Pubrel(3)]


# What the client answers


def position(qos=1):
    return Position("telemetry", 0, 5, qos)


@pytest.mark.parametrize(
    "acknowledgement", [Puback(1), Pubacks([b"\x00\x01"]), Puback(1, ReasonCode.QUOTA_EXCEEDED)]
)
def test_an_acknowledged_message_is_no_longer_in_flight(connected, acknowledgement):
    script = connected()
    script.session.state.in_flight = {b"\x00\x01": position(), b"\x00\x02": position()}
    assert script.feed(acknowledgement) == [Resume()]
    assert list(script.session.state.in_flight) == [b"\x00\x02"]


def test_an_acknowledgement_of_nothing_harms_nobody(connected):
    script = connected()
    assert script.feed(Pubacks([b"\x00\x07", b"\x00\x07"])) == [Resume()]
    assert script.feed(Puback(8)) == [Resume()]


def test_an_acknowledgement_of_packet_identifier_zero_ends_the_conversation(connected):
    script = connected()
    effects = script.feed(Pubacks([b"\x00\x01", b"\x00\x00"]))
    assert effects == [CloseConnection(), KeepState(script.session.state)]
    assert script.sent == [Disconnect(ReasonCode.PROTOCOL_ERROR)]


@pytest.mark.spec("MQTT5-4.3.3-4")
@pytest.mark.parametrize("version", BOTH)
def test_a_pubrec_is_answered_by_a_pubrel_that_survives_a_crash(connected, version):
    script = connected(version)
    script.session.state.in_flight = {b"\x00\x01": position(2)}
    script.feed(Pubrec(1))
    assert script.sent == [Pubrel(1)]
    assert [type(effect) for effect in script.all_effects] == [SendSaved]
    state = script.session.state
    assert (list(state.in_flight), list(state.releasing)) == ([], [b"\x00\x01"])
    assert script.feed(Pubcomp(1)) == [Resume()]
    assert not state.releasing


def test_a_repeated_pubrec_is_answered_again(connected):
    script = connected()
    script.session.state.releasing = {b"\x00\x01": None}
    script.feed(Pubrec(1))
    assert script.sent == [Pubrel(1)]


def test_a_pubrec_of_nothing_is_told_so_in_version_5(connected):
    script = connected()
    script.feed(Pubrec(1))
    assert script.sent == [Pubrel(1, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)]
    script = connected(V3)
    script.feed(Pubrec(1))
    assert script.sent == [Pubrel(1)]


def test_a_refused_message_of_qos_2_is_over(connected):
    script = connected()
    script.session.state.in_flight = {b"\x00\x01": position(2)}
    assert script.feed(Pubrec(1, ReasonCode.QUOTA_EXCEEDED)) == [Resume()]
    assert (script.sent, script.session.state.unacknowledged) == ([], 0)


@pytest.mark.spec("MQTT5-4.13.1-1")
@pytest.mark.spec("MQTT311-4.8.0-1")
@pytest.mark.parametrize(
    ("qos", "answer"),
    [
        (1, Pubrec(1)),
        (1, Pubcomp(1)),
        (2, Puback(1)),
        (2, Pubacks([b"\x00\x01"])),
        (2, Pubcomp(1)),
    ],
    ids=str,
)
def test_the_answer_of_another_exchange_ends_the_conversation(connected, qos, answer):
    script = connected()
    script.session.state.in_flight = {b"\x00\x01": position(qos)}
    assert CloseConnection() in script.feed(answer)
    assert script.sent == [Disconnect(ReasonCode.PROTOCOL_ERROR)]
    assert list(script.session.state.in_flight) == [b"\x00\x01"]


def test_a_puback_where_a_pubcomp_is_due_ends_the_conversation(connected):
    script = connected()
    script.session.state.releasing = {b"\x00\x01": None}
    assert CloseConnection() in script.feed(Puback(1))
    assert list(script.session.state.releasing) == [b"\x00\x01"]


# Held


def test_a_message_that_may_be_dropped_makes_no_alias():
    made = Delivery(SessionState("c"), V5, 10, None, topic_alias_maximum=5)
    held = made.packet_to_hold(message(qos=0), PLAIN, place(qos=0))
    packet, _ = decode_packet(held, 0, V5, 1 << 28, Sender.SERVER)
    assert (packet.topic, packet.properties.topic_alias) == ("t", None)
    assert made.outbox == []
    made.offer(message(qos=0), PLAIN, place(qos=0))
    assert sent(made)[0].properties.topic_alias == 1


def test_what_is_too_large_is_not_held_either():
    made = delivery(packet_bytes_max=20)
    assert made.packet_to_hold(message(b"x" * 50, 0), PLAIN, place(qos=0)) == b""
    assert made.dropped == 1
