from __future__ import annotations

import pytest

from gateway.mqtt import (
    Properties,
    ProtocolVersion,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
)
from gateway.session import Grant, Grants, Revokes, SendRetained, SendSaved, SessionOptions
from gateway.session.subscribing import check_subscriptions, is_start, start_of

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
BOTH = [V3, V5]
OPTIONS = SessionOptions(subscriptions_max=3, topic_levels_max=4)
INVALID = ReasonCode.TOPIC_FILTER_INVALID
QUOTA = ReasonCode.QUOTA_EXCEEDED


def check(*topic_filters, held=(), properties=None, **options):
    subscriptions = tuple(Subscription(name, **options) for name in topic_filters)
    packet = Subscribe(1, subscriptions, properties or Properties())
    return check_subscriptions(packet, OPTIONS, held)[:2]


def codes(*topic_filters, held=()):
    return check(*topic_filters, held=held)[1]


@pytest.mark.spec("MQTT5-3.8.4-6")
@pytest.mark.spec("MQTT5-3.9.3-1")
@pytest.mark.spec("MQTT311-3.8.4-5")
@pytest.mark.spec("MQTT311-3.9.3-1")
def test_every_filter_has_its_reason_code_in_order():
    packet = Subscribe(
        1,
        (
            Subscription("a", 2),
            Subscription("a/#/b", 1),
            Subscription("b", 0),
            Subscription("c", 1),
        ),
    )
    grants, reason_codes, _ = check_subscriptions(packet, OPTIONS, ())
    assert reason_codes == (
        ReasonCode.GRANTED_QOS_2,
        INVALID,
        ReasonCode.GRANTED_QOS_0,
        ReasonCode.GRANTED_QOS_1,
    )
    assert [grant.topic_filter for grant in grants] == ["a", "b", "c"]


def test_a_grant_holds_what_was_asked_for():
    grants, _ = check(
        "a/+",
        properties=Properties(subscription_ids=(7,)),
        maximum_qos=1,
        no_local=True,
        retain_as_published=True,
        retain_handling=2,
    )
    assert grants == [Grant("a/+", 1, True, True, 2, 7)]


@pytest.mark.parametrize("topic_filter", ["a+", "+a", "a#", "#/a", "a/#/b", "a/b+/c"])
def test_a_misplaced_wildcard_is_refused(topic_filter):
    assert codes(topic_filter) == (INVALID,)


@pytest.mark.parametrize("topic_filter", ["#", "+", "a/+/#", "/", "//", "$SYS/#", "a b/ü"])
def test_a_right_filter_is_granted(topic_filter):
    assert codes(topic_filter) == (ReasonCode.GRANTED_QOS_0,)


def test_a_filter_of_too_many_levels_is_refused():
    assert codes("a/b/c/d", "a/b/c/d/e") == (ReasonCode.GRANTED_QOS_0, INVALID)


def test_a_session_has_a_limited_number_of_subscriptions():
    assert codes("a", "b", "c", "d") == (0, 0, 0, QUOTA)
    assert codes("c", "d", held=["a", "b"]) == (0, QUOTA)


def test_asking_again_for_a_filter_is_no_further_subscription():
    assert codes("c", "a", "d", held=["a", "b", "c"]) == (0, 0, QUOTA)
    assert codes("a", "a", "a", "a", "b") == (0, 0, 0, 0, 0)


def test_a_refused_filter_takes_no_room():
    assert codes("a#", "a", "b", "c") == (INVALID, 0, 0, 0)


@pytest.mark.parametrize(
    ("topic_filter", "start", "pattern"),
    [
        ("$replay/earliest/a/#", "earliest", "a/#"),
        ("$replay/@1234/#", "@1234", "#"),
        ("$replay/-1h/a/b", "-1h", "a/b"),
        ("$replay/-1h30m/a", "-1h30m", "a"),
        ("$replay/2026-01-02T03:04:05Z/a", "2026-01-02T03:04:05Z", "a"),
        ("$replay/2026-01-02/a", "2026-01-02", "a"),
    ],
)
def test_a_replay_is_granted_from_its_start(topic_filter, start, pattern):
    assert start_of(topic_filter) == start
    (grant,), reason_codes = check(topic_filter, properties=None)
    assert (grant.start, grant.pattern, reason_codes) == (start, pattern, (0,))


@pytest.mark.parametrize(
    "topic_filter",
    [
        "$replay/",
        "$replay//a",
        "$replay/earliest",
        "$replay/earliest/",
        "$replay/someday/a",
        "$replay/@/a",
        "$replay/@-1/a",
        "$replay/@1x/a",
        "$replay/-/a",
        "$replay/-1w/a",
        "$replay/earliest/a#",
        "$replay/2026-13-01/a",
        "$replay/@9999999999999999/a",
    ],
)
def test_a_replay_without_start_or_filter_is_refused(topic_filter):
    assert codes(topic_filter) == (INVALID,)


def test_a_start_can_also_be_asked_for_beside_the_filter():
    asked = Properties(user_properties=(("penstock-start", "-5m"),))
    grants, reason_codes = check("a", "b", properties=asked)
    assert [(grant.topic_filter, grant.start) for grant in grants] == [("a", "-5m"), ("b", "-5m")]
    assert reason_codes == (0, 0)
    wrong = Properties(user_properties=(("penstock-start", "yesterday"),))
    assert check("a", properties=wrong) == ([], (INVALID,))


def test_another_filter_has_no_start():
    assert start_of("a/b") == ""
    assert start_of("$replayed/earliest/a") == ""


@pytest.mark.parametrize("text", ["", "now", "@", "1h", "-1", "-1.5h", "\u0663", "@\u0663"])
def test_what_is_no_start_is_known(text):
    assert not is_start(text)


# What the session does with it


def subscribe(*topic_filters, packet_id=1, **options):
    return Subscribe(packet_id, tuple(Subscription(name, **options) for name in topic_filters))


@pytest.mark.spec("MQTT5-3.8.4-1")
@pytest.mark.spec("MQTT5-3.8.4-2")
@pytest.mark.spec("MQTT311-3.8.4-1")
@pytest.mark.spec("MQTT311-3.8.4-2")
@pytest.mark.parametrize("version", BOTH)
def test_a_subscription_is_granted_answered_and_remembered(connected, version):
    script = connected(version)
    grant = Grant("plant/#", 1)
    effects = script.feed(subscribe("plant/#", packet_id=77, maximum_qos=1))
    assert effects == [Grants([grant]), SendRetained([grant])]
    assert script.sent == [Suback(77, (ReasonCode.GRANTED_QOS_1,))]
    assert script.session.state.grants_by_filter == {"plant/#": grant}


def test_a_suback_tells_what_survives_a_crash(connected):
    script = connected()
    script.feed(subscribe("a"))
    assert [type(effect) for effect in script.all_effects] == [Grants, SendSaved, SendRetained]


@pytest.mark.spec("MQTT5-3.8.4-3")
@pytest.mark.spec("MQTT311-3.8.4-3")
@pytest.mark.parametrize("version", BOTH)
def test_a_repeated_subscription_replaces_the_first(connected, version):
    script = connected(version)
    script.feed(subscribe("a", maximum_qos=0))
    script.feed(subscribe("a", maximum_qos=2))
    assert script.session.state.grants_by_filter == {"a": Grant("a", 2)}


@pytest.mark.spec("MQTT5-3.3.1-9")
@pytest.mark.spec("MQTT5-3.3.1-10")
@pytest.mark.spec("MQTT5-3.3.1-11")
@pytest.mark.parametrize(
    ("retain_handling", "at_first", "again"), [(0, True, True), (1, True, False), (2, False, False)]
)
def test_retained_messages_are_sent_as_the_subscription_asks(
    connected, retain_handling, at_first, again
):
    script = connected()
    for is_wanted in (at_first, again):
        effects = script.feed(subscribe("a", retain_handling=retain_handling))
        assert bool(effects[1].grants) == is_wanted


@pytest.mark.parametrize(("wish", "expected"), [("reference", True), ("whole", False)])
def test_a_subscription_may_ask_for_references_in_place_of_large_payloads(wish, expected):
    asked = Properties(user_properties=(("penstock-blobs", wish),))
    wanted = Subscribe(7, (Subscription("a", 1),), asked)
    (grant,), _, _ = check_subscriptions(wanted, SessionOptions(), ())
    assert grant.takes_references is expected


@pytest.mark.spec("MQTT5-3.10.4-4")
@pytest.mark.spec("MQTT5-3.11.3-1")
def test_an_unsubscribe_is_answered_filter_by_filter(connected):
    script = connected()
    script.feed(subscribe("a", "b"))
    assert script.feed(Unsubscribe(7, ("b", "x", "b"))) == [Revokes(("b", "x", "b"))]
    none = ReasonCode.NO_SUBSCRIPTION_EXISTED
    assert script.sent == [Unsuback(7, (ReasonCode.SUCCESS, none, none))]
    assert list(script.session.state.grants_by_filter) == ["a"]


@pytest.mark.spec("MQTT311-3.10.4-4")
@pytest.mark.spec("MQTT311-3.10.4-5")
def test_an_unsubscribe_of_3_1_1_is_answered_even_where_nothing_was_subscribed(connected):
    script = connected(V3)
    script.feed(Unsubscribe(7, ("x",)))
    assert script.raw == b"\xb0\x02\x00\x07"
