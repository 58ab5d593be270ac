from __future__ import annotations

import random

import pytest

from gateway.mqtt import matches
from gateway.routing import Retained, RetainedLimits, RetainedMessages
from gateway.routing.retained import OVERHEAD_BYTES

NAMES = ["a", "b", "", "$SYS", "x y"]


def message(payload=b"x"):
    return Retained(payload, 1, b"", "c", 1_000)


def holding(*topics, **limits):
    messages = RetainedMessages(RetainedLimits(**limits))
    for topic in topics:
        messages.put(topic, message(topic.encode() or b"-"))
    return messages


@pytest.mark.spec("MQTT5-3.3.1-5")
def test_the_last_message_of_a_topic_replaces_the_one_before():
    messages = holding("a")
    messages.put("a", message(b"newer"))
    assert messages.get("a") == message(b"newer")
    assert (len(messages), list(messages.match("#"))) == (1, ["a"])


@pytest.mark.spec("MQTT5-3.3.1-6")
@pytest.mark.spec("MQTT311-3.3.1-10")
def test_an_empty_payload_removes_the_message():
    messages = holding("a", "a/b")
    messages.put("a", message(b""))
    assert messages.get("a") is None
    assert list(messages.match("#")) == ["a/b"]
    messages.put("a/b", message(b""))
    messages.put("never/there", message(b""))
    assert (len(messages), messages.bytes, list(messages.match("#"))) == (0, 0, [])


@pytest.mark.parametrize(
    ("topic_filter", "found"),
    [
        ("a", ["a"]),
        ("c", []),
        ("#", ["a", "a/b", "a/b/c", "b"]),
        ("a/#", ["a", "a/b", "a/b/c"]),
        ("+", ["a", "b"]),
        ("+/+", ["a/b"]),
        ("a/+/c", ["a/b/c"]),
        ("$SYS/#", ["$SYS/clients"]),
        ("+/clients", []),
        ("$SYS/+", ["$SYS/clients"]),
    ],
)
def test_a_filter_finds_what_it_matches(topic_filter, found):
    messages = holding("a", "a/b", "a/b/c", "b", "$SYS/clients")
    assert sorted(messages.match(topic_filter)) == found


@pytest.mark.parametrize("seed", range(8))
def test_finding_agrees_with_asking_every_topic(seed):
    rng = random.Random(seed)
    messages = RetainedMessages(RetainedLimits())
    kept = {}
    for _ in range(200):
        topic = "/".join(rng.choice(NAMES) for _ in range(rng.randint(1, 4)))
        payload = rng.choice([b"", b"x", b"xyz"])
        messages.put(topic, message(payload))
        kept.pop(topic, None)
        if payload:
            kept[topic] = payload
        levels = [rng.choice([*NAMES, "+", "+"]) for _ in range(rng.randint(1, 4))]
        if rng.random() < 0.4:
            levels[-1] = "#"
        topic_filter = "/".join(levels)
        found = list(messages.match(topic_filter))
        assert sorted(found) == sorted(name for name in kept if matches(topic_filter, name))
        assert len(messages) == len(kept)
    sizes = [len(topic) + len(payload) + OVERHEAD_BYTES for topic, payload in kept.items()]
    assert messages.bytes == sum(sizes)


def test_messages_may_come_and_go_while_they_are_walked():
    messages = holding(*(f"a/{number}" for number in range(50)))
    found = []
    for number, topic in enumerate(messages.match("a/+")):
        found.append(topic)
        messages.put(topic, message(b""))
        messages.put(f"b/{number}", message())
        messages.put(f"a/new-{number}", message())
    assert len(found) == 50


def test_deep_names_are_walked_without_recursion():
    deep = "/".join(["a"] * 5_000)
    assert list(holding(deep).match("#")) == [deep]


def test_the_number_of_messages_is_limited():
    messages = holding("a", "b", count_max=2)
    assert not messages.accepts("c", 1)
    assert messages.accepts("a", 1)
    assert messages.accepts("c", 0)
    messages.put("a", message(b""))
    assert messages.accepts("c", 1)


def test_a_payload_is_limited():
    messages = holding("a", payload_bytes_max=10)
    assert messages.accepts("b", 10)
    assert not messages.accepts("b", 11)
    assert not messages.accepts("a", 11)


def test_what_messages_hold_together_is_limited_also_when_they_grow():
    messages = holding(bytes_max=3 * OVERHEAD_BYTES)
    messages.put("a", message(b"x" * 100))
    left = OVERHEAD_BYTES - len("a") - 100
    assert messages.accepts("b", left - 1)
    assert not messages.accepts("b", left)
    assert messages.accepts("a", 2 * OVERHEAD_BYTES - 1)
    assert not messages.accepts("a", 2 * OVERHEAD_BYTES)


def test_removing_is_always_accepted():
    assert holding("a", count_max=0, bytes_max=0, payload_bytes_max=0).accepts("a", 0)
