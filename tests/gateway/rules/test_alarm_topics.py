from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import check_topic_name
from gateway.rules.alarm_topics import (
    VERBS,
    CommandTopic,
    alarm_topic,
    command_topic,
    read_command_topic,
)

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"))


@given(st.sampled_from(["hot", "gateway/rule-error"]), KEYS, st.sampled_from(VERBS))
def test_every_key_has_a_topic_of_its_own_that_can_be_read_back(rule, key, verb):
    asked = CommandTopic(rule, key, verb)
    assert read_command_topic(command_topic(asked)) == asked
    assert alarm_topic(rule, key).count("/") == 2


@pytest.mark.parametrize(
    ("key", "topic"),
    [
        ("m1", "alarms/hot/m1"),
        ("", "alarms/hot/-"),
        ("-", "alarms/hot/%2D"),
        ("a/b", "alarms/hot/a%2Fb"),
        ("50%+#", "alarms/hot/50%25%2B%23"),
    ],
)
def test_a_key_is_one_level_that_any_client_may_publish_to(key, topic):
    assert alarm_topic("hot", key) == topic
    check_topic_name(topic)


@pytest.mark.parametrize(
    "topic",
    ["alarms/hot/m1", "alarms/hot/m1/on", "alarms/a/b/c/ack", "x/hot/m1/ack", "alarms///ack"],
)
def test_other_topics_ask_for_nothing(topic):
    assert read_command_topic(topic) is None
