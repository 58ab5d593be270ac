from __future__ import annotations

import random

import pytest

from gateway.mqtt import matches
from gateway.routing import SubscriptionTree

NAMES = ["a", "b", "", "$SYS", "x y"]


def tree_of(*subscriptions):
    tree = SubscriptionTree()
    for topic_filter, subscriber in subscriptions:
        tree.add(topic_filter, subscriber, topic_filter)
    return tree


def reached(topic, *topic_filters):
    """Which of some filters a topic reaches, each held by a subscriber of its own."""
    tree = tree_of(*((topic_filter, topic_filter) for topic_filter in topic_filters))
    return sorted(tree.match(topic))


def linear_match(subscriptions, topic):
    """The slow twin: every subscription is asked."""
    found = {}
    for (topic_filter, subscriber), value in subscriptions.items():
        if matches(topic_filter, topic):
            found.setdefault(subscriber, []).append(value)
    return {subscriber: sorted(values) for subscriber, values in found.items()}


def random_filter(rng):
    levels = [rng.choice([*NAMES, "+", "+"]) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.3:
        levels[-1] = "#"
    return "/".join(levels)


def random_topic(rng):
    return "/".join(rng.choice(NAMES) for _ in range(rng.randint(1, 5)))


def test_a_hash_takes_every_level_below_and_its_own_parent():
    filters = ["sport/#", "#", "sport/tennis/#"]
    assert reached("sport", *filters) == ["#", "sport/#"]
    assert reached("sport/tennis", *filters) == ["#", "sport/#", "sport/tennis/#"]
    assert reached("sport/tennis/player1/ranking", *filters) == ["#", "sport/#", "sport/tennis/#"]
    assert reached("sports", *filters) == ["#"]


def test_a_plus_takes_exactly_one_level():
    assert reached("sport/tennis", "sport/+", "+/+", "+", "sport/tennis/+") == ["+/+", "sport/+"]
    assert reached("sport", "sport/+", "+") == ["+"]
    assert reached("sport/", "sport/+", "sport") == ["sport/+"]
    assert reached("/finance", "+/+", "/+", "+") == ["+/+", "/+"]


@pytest.mark.spec("MQTT5-4.7.2-1")
@pytest.mark.spec("MQTT311-4.7.2-1")
def test_a_leading_wildcard_does_not_reach_a_dollar_topic():
    filters = ["#", "+/monitor/#", "$SYS/#", "$SYS/monitor/+", "+/+/clients"]
    assert reached("$SYS/monitor/clients", *filters) == ["$SYS/#", "$SYS/monitor/+"]
    assert reached("$SYS", "#", "+", "+/#", "$SYS/#") == ["$SYS/#"]


@pytest.mark.spec("MQTT5-4.7.3-4")
@pytest.mark.spec("MQTT311-4.7.3-4")
def test_nothing_is_normalized():
    assert reached("Accounts", "ACCOUNTS", "Accounts", "/Accounts") == ["Accounts"]


def test_a_subscriber_gets_the_value_of_each_of_its_filters():
    tree = tree_of(("a/+", "one"), ("a/#", "one"), ("a/b", "two"))
    found = tree.match("a/b")
    assert {one: sorted(values) for one, values in found.items()} == {
        "one": ["a/#", "a/+"],
        "two": ["a/b"],
    }


def test_a_repeated_subscription_replaces_what_was_asked_for():
    tree = SubscriptionTree()
    assert tree.add("a", "one", 1)
    assert not tree.add("a", "one", 2)
    assert len(tree) == 1
    assert tree.match("a") == {"one": [2]}


def test_removing_tells_whether_there_was_one():
    tree = tree_of(("a/b", "one"), ("a", "one"))
    assert not tree.remove("a/b", "two")
    assert not tree.remove("a/b/c", "one")
    assert not tree.remove("b", "one")
    assert tree.remove("a/b", "one")
    assert not tree.remove("a/b", "one")
    assert tree.match("a/b") == {}
    assert tree.match("a") == {"one": ["a"]}


def test_a_subscription_to_nothing_in_particular_can_be_removed():
    tree = SubscriptionTree()
    tree.add("a", "one", None)
    assert tree.remove("a", "one")
    assert len(tree) == 0


def test_removing_leaves_no_empty_levels_behind():
    tree = tree_of(("a/b/c/d", "one"), ("a/b", "two"))
    tree.remove("a/b/c/d", "one")
    assert not tree._root.below["a"].below["b"].below
    tree.remove("a/b", "two")
    assert tree._root.is_empty()


def test_the_generation_grows_with_every_change_and_with_nothing_else():
    tree = SubscriptionTree()
    generations = [tree.generation]
    for change in (
        lambda: tree.add("a", "one", 1),
        lambda: tree.add("a", "one", 2),
        lambda: tree.remove("a", "one"),
    ):
        change()
        generations.append(tree.generation)
    assert generations == sorted(set(generations))
    tree.remove("a", "one")
    tree.match("a")
    assert tree.generation == generations[-1]


@pytest.mark.parametrize("seed", range(8))
def test_the_tree_agrees_with_asking_every_subscription(seed):
    rng = random.Random(seed)
    tree = SubscriptionTree()
    subscriptions = {}
    for step in range(150):
        if subscriptions and rng.random() < 0.35:
            key = rng.choice(list(subscriptions))
            del subscriptions[key]
            assert tree.remove(*key)
        else:
            key = random_filter(rng), rng.randint(0, 5)
            assert tree.add(*key, step) == (key not in subscriptions)
            subscriptions[key] = step
        assert len(tree) == len(subscriptions)
        topic = random_topic(rng)
        found = {one: sorted(values) for one, values in tree.match(topic).items()}
        assert found == linear_match(subscriptions, topic), f"seed {seed}, step {step}, '{topic}'"


def test_wildcards_at_every_level_cost_what_they_hold():
    tree = SubscriptionTree()
    for depth in range(1, 33):
        tree.add("/".join(["+"] * depth), depth, depth)
        tree.add("/".join(["a"] * depth), depth, depth)
    assert tree.match("/".join(["a"] * 32)) == {32: [32, 32]}
