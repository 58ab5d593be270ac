from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import MalformedPacket, ProtocolError
from gateway.mqtt import (
    SharedFilter,
    TopicLimits,
    check_topic_filter,
    check_topic_name,
    decode_topic_name,
    has_wildcard,
    matches,
    parse_shared_filter,
)
from gateway.mqtt.topics import is_topic_name

LEVELS = st.sampled_from(["", "a", "b", "$a", "é"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=5).map("/".join)
FILTERS = st.tuples(
    st.lists(st.one_of(LEVELS, st.just("+")), max_size=5), st.sampled_from([[], ["#"]])
).map(lambda parts: "/".join(parts[0] + parts[1]))


# The examples of MQTT5 §4.7.1 and §4.7.2, and of MQTT311 likewise.
MATCHING = [
    ("sport/tennis/player1/#", "sport/tennis/player1"),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
    ("sport/#", "sport"),
    ("#", "sport/tennis"),
    ("sport/tennis/+", "sport/tennis/player1"),
    ("sport/+", "sport/"),
    ("+/+", "/finance"),
    ("/+", "/finance"),
    ("$SYS/#", "$SYS/monitor/Clients"),
    ("$SYS/monitor/+", "$SYS/monitor/Clients"),
    ("+/tennis/#", "sport/tennis"),
    ("/", "/"),
    ("+/+", "/"),
]
NOT_MATCHING = [
    ("sport/tennis/+", "sport/tennis/player1/ranking"),
    ("sport/+", "sport"),
    ("+", "/finance"),
    ("#", "$SYS/monitor/Clients"),
    ("+/monitor/Clients", "$SYS/monitor/Clients"),
    ("+", "$SYS"),
    ("sport", "Sport"),
    ("sport", "sport/"),
    ("\u00e9", "e\u0301"),
]


@pytest.mark.spec("MQTT5-4.7.1-1")
@pytest.mark.spec("MQTT5-4.7.1-2")
@pytest.mark.spec("MQTT311-4.7.1-2")
@pytest.mark.spec("MQTT311-4.7.1-3")
@pytest.mark.parametrize(("topic_filter", "topic"), MATCHING)
def test_the_specification_says_that_these_match(topic_filter, topic):
    check_topic_filter(topic_filter)
    check_topic_name(topic)
    assert matches(topic_filter, topic)


@pytest.mark.spec("MQTT5-4.7.2-1")
@pytest.mark.spec("MQTT311-4.7.2-1")
@pytest.mark.spec("MQTT5-4.7.3-4")
@pytest.mark.spec("MQTT311-4.7.3-4")
@pytest.mark.parametrize(("topic_filter", "topic"), NOT_MATCHING)
def test_the_specification_says_that_these_do_not_match(topic_filter, topic):
    assert not matches(topic_filter, topic)


@settings(max_examples=500, deadline=None)
@given(FILTERS.filter(bool), TOPICS.filter(bool))
def test_matching_is_what_a_regular_expression_says(topic_filter, topic):
    pattern = "/".join(
        {"+": "[^/]*", "#": ".*"}.get(level, re.escape(level)) for level in topic_filter.split("/")
    )
    expected = re.fullmatch(pattern, topic) is not None
    if topic_filter.endswith("/#"):
        expected |= re.fullmatch(pattern.removesuffix("/.*"), topic) is not None
    if topic.startswith("$") and topic_filter[0] in "+#":
        expected = False
    assert matches(topic_filter, topic) == expected


@pytest.mark.parametrize("topic", ["/", "a", "a//b", " ", "$SYS/x", "a" * 65_535, "é/日"])
def test_these_are_topic_names(topic):
    check_topic_name(topic)
    check_topic_filter(topic)
    assert decode_topic_name(topic.encode()) == topic


@pytest.mark.spec("MQTT5-3.3.2-2")
@pytest.mark.spec("MQTT311-3.3.2-2")
@pytest.mark.spec("MQTT5-4.7.3-1")
@pytest.mark.spec("MQTT311-4.7.3-1")
@pytest.mark.spec("MQTT5-4.7.3-2")
@pytest.mark.spec("MQTT311-4.7.3-2")
@pytest.mark.parametrize("topic", ["", "+", "a/+", "#", "a#", "a\x00", "a\n", "\ufffe"])
def test_these_are_no_topic_names(topic):
    with pytest.raises(MalformedPacket) as caught:
        decode_topic_name(topic.encode())
    assert caught.value.reason_code == 0x81


@pytest.mark.spec("MQTT5-1.5.4-1")
def test_bytes_that_are_no_text_are_no_topic_name():
    with pytest.raises(MalformedPacket, match="not UTF-8"):
        decode_topic_name(b"a\xff")


@pytest.mark.parametrize("topic_filter", ["#", "+", "/#", "+/+/#", "a/+/b", "$share", "$SYS/#"])
def test_these_are_topic_filters(topic_filter):
    check_topic_filter(topic_filter)


@pytest.mark.spec("MQTT5-4.7.1-1")
@pytest.mark.spec("MQTT5-4.7.1-2")
@pytest.mark.spec("MQTT311-4.7.1-2")
@pytest.mark.spec("MQTT311-4.7.1-3")
@pytest.mark.parametrize(
    "topic_filter", ["", "a#", "#/a", "a+", "+a/b", "a/##", "++", "a/#/", "\t"]
)
def test_these_are_no_topic_filters(topic_filter):
    with pytest.raises(MalformedPacket):
        check_topic_filter(topic_filter)


def test_names_and_filters_have_limits_of_ours_beside_the_specification():
    limits = TopicLimits(bytes_max=10, levels_max=3)
    check_topic_name("a/b/c", limits)
    check_topic_name("é" * 5, limits)
    for topic in ("a/b/c/d", "é" * 5 + "e"):
        with pytest.raises(ProtocolError) as caught:
            check_topic_name(topic, limits)
        assert caught.value.reason_code == 0x90
        with pytest.raises(ProtocolError) as caught:
            check_topic_filter(topic, limits)
        assert caught.value.reason_code == 0x8F


@pytest.mark.spec("MQTT5-4.7.3-3")
@pytest.mark.spec("MQTT311-4.7.3-3")
def test_a_topic_is_at_most_65535_bytes_long():
    with pytest.raises(ProtocolError, match="longer than 65535 bytes"):
        check_topic_name("é" * 32_768)


@pytest.mark.spec("MQTT5-4.8.2-1")
@pytest.mark.spec("MQTT5-4.8.2-2")
def test_a_shared_subscription_names_its_group_and_its_filter():
    assert parse_shared_filter("$share/group/a/+/#") == SharedFilter("group", "a/+/#")
    assert parse_shared_filter("$share/g//") == SharedFilter("g", "/")
    assert parse_shared_filter("share/g/a") is None
    assert parse_shared_filter("$share") is None
    check_topic_filter("$share/group/#")


@pytest.mark.spec("MQTT5-4.8.2-1")
@pytest.mark.spec("MQTT5-4.8.2-2")
@pytest.mark.parametrize(
    "topic_filter", ["$share/", "$share//a", "$share/g", "$share/g/", "$share/+/a"]
)
def test_a_shared_subscription_without_group_or_filter_is_a_protocol_error(topic_filter):
    for check in (parse_shared_filter, check_topic_filter):
        with pytest.raises(ProtocolError) as caught:
            check(topic_filter)
        assert caught.value.reason_code == 0x82


def test_a_response_topic_must_be_a_topic_name():
    assert is_topic_name("a/b")
    assert not is_topic_name("")
    assert not is_topic_name("a/+")


def test_a_wildcard_is_seen_anywhere():
    assert has_wildcard("a+")
    assert has_wildcard("#")
    assert not has_wildcard("a/b")
