from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules import Publication
from gateway.rules.alarm_topics import alarm_topic
from tests.harness.alarm_lives import Plant, Twin, told

HOT = "- {id: hot, from: plant/+, key: device, when: payload.x > 5, arm: level, PARTS}"


def steps(found):
    return [(event, state, quiet) for _, _, event, state, quiet in found]


def plant(parts="alarm: {severity: major}"):
    return Plant(HOT.replace("PARTS", parts))


def test_an_alarm_is_acknowledged_by_a_message_and_then_clears():
    running = plant()
    assert steps(running.event(1, 9)) == [("raised", "raised", "")]
    assert steps(running.ask(2, "ack", "on my way")) == [("acked", "acked", "")]
    assert running.outputs[-1].reason == "acknowledged by anna (on my way)"
    assert steps(running.event(3, 1)) == [("cleared", "idle", "")]


def test_an_alarm_clears_without_being_acknowledged_unless_it_latches():
    running = plant()
    running.event(1, 9)
    assert steps(running.event(2, 1)) == [("cleared", "idle", "")]
    assert steps(running.ask(3, "ack")) == []
    latching = plant("alarm: {latch: true}")
    latching.event(1, 9)
    assert steps(latching.event(2, 1)) == [("latched", "cleared-unacked", "")]
    assert steps(latching.ask(3, "ack")) == [
        ("acked", "cleared-unacked", ""),
        ("cleared", "idle", ""),
    ]


def test_a_latched_alarm_that_was_acknowledged_clears_at_once():
    running = plant("alarm: {latch: true}")
    running.event(1, 9)
    running.ask(2, "ack")
    assert steps(running.event(3, 1)) == [("cleared", "idle", "")]


def test_a_latched_alarm_that_returns_is_raised_with_the_next_number():
    running = plant("alarm: {latch: true}")
    running.event(1, 9)
    running.event(2, 1)
    assert steps(running.event(3, 9)) == [("raised", "raised", "")]
    assert running.outputs[-1].n == 2
    running.ask(4, "ack")
    assert steps(running.event(5, 1)) == [("cleared", "idle", "")]


def test_an_acknowledgement_may_name_the_alarm_that_it_is_for():
    running = plant()
    running.event(1, 9)
    assert running.ask(2, "ack", {"n": 2}) == []
    assert steps(running.ask(3, "ack", {"n": 1, "by": "ben"})) == [("acked", "acked", "")]
    assert running.outputs[-1].reason == "acknowledged by ben"
    assert running.ask(4, "ack") == []


def test_a_shelved_alarm_is_logged_and_not_published_until_its_time_is_over():
    running = plant('publish: {topic: "out/{device}", on: [raised, cleared]}')
    assert steps(running.ask(0, "shelve", "10s")) == [("shelved", "shelved", "")]
    assert steps(running.event(1, 9)) == [("raised", "shelved", "shelved")]
    assert running.engine.next_tick_ms() == 10_000
    found = running.tick(10_000)
    assert steps(found) == [("unshelved", "raised", ""), ("reminded", "raised", "")]
    (message,) = [o for o in running.outputs if isinstance(o, Publication)]
    assert (message.topic, json.loads(message.payload)["event"]) == ("out/m1", "reminded")


def test_the_end_of_a_raise_that_nobody_heard_of_is_not_told():
    running = plant()
    running.ask(0, "shelve", {"for": "1m", "by": "ben"})
    running.event(1, 9)
    assert steps(running.event(2, 1)) == [("cleared", "shelved", "shelved")]
    assert steps(running.ask(3, "unshelve")) == [("unshelved", "idle", "")]
    assert running.engine.next_tick_ms() is None


def test_whoever_heard_of_a_raise_hears_of_its_end_though_it_is_shelved():
    running = plant()
    running.event(1, 9)
    running.ask(2, "shelve")
    assert steps(running.event(3, 1)) == [("cleared", "shelved", "")]


@pytest.mark.parametrize(
    ("verb", "payload"),
    [("shelve", "soon"), ("shelve", {"for": "0s"}), ("shelve", {"for": 5}), ("ack", [1])],
)
def test_a_message_that_cannot_be_meant_is_counted(verb, payload):
    running = plant()
    running.event(1, 9)
    assert running.ask(2, verb, payload) == []
    assert running.ask(2, verb, b"\xff\xfe") == []
    assert running.ask(2, "ack", key="m2") == []
    assert running.ask(2, "ack", rule="cold") == []
    assert running.engine._desk.refused_commands == 4


def test_the_key_of_a_rule_without_keys_is_a_dash():
    running = Plant("- {id: hot, from: plant/+, key: [], when: payload.x > 5}")
    running.event(1, 9)
    assert alarm_topic("hot", "") == "alarms/hot/-"
    assert steps(running.ask(2, "ack", key="")) == [("acked", "acked", "")]


def test_a_key_with_a_slash_is_one_level():
    running = Plant("- {id: hot, from: plant/+, key: [device, payload.x], when: payload.x > 5}")
    running.event(1, 9)
    assert alarm_topic("hot", "m1/9") == "alarms/hot/m1%2F9"
    assert steps(running.ask(2, "ack", key="m1/9")) == [("acked", "acked", "")]


def test_the_cooldown_is_kept_by_each_key():
    running = plant("suppress: {cooldown: 10s}")
    story = [(0, 9), (1_000, 1), (5_000, 9), (6_000, 1), (10_000, 9)]
    found = [steps(running.event(at, x))[0] for at, x in story]
    assert [(event, quiet) for event, _, quiet in found] == [
        ("raised", ""),
        ("cleared", ""),
        ("raised", "cooldown"),
        ("cleared", "cooldown"),
        ("raised", ""),
    ]
    assert steps(running.event(10_001, 9, device="m2"))[0][2] == ""


def test_what_counts_as_the_same_can_be_said_by_expressions():
    running = plant("suppress: {cooldown: 10s, by: payload.x}")
    quiet = [
        running.event(n, x, device=f"m{n}")[0][4] for n, x in enumerate((6, 7, 6, 8, 7), start=1)
    ]
    assert quiet == ["", "", "cooldown", "", "cooldown"]


def test_a_rule_tells_no_more_than_its_limit():
    running = plant("suppress: {limit: 2/s}")
    quiet = [
        running.event(at, 9, device=f"m{at}")[0][4] for at in (0, 400, 900, 1_000, 1_399, 1_400)
    ]
    assert quiet == ["", "", "limit", "", "limit", ""]


def test_reminders_come_until_somebody_acknowledges():
    running = plant("suppress: {remind: 1h}")
    hour = 3_600_000
    running.event(0, 9)
    assert running.engine.next_tick_ms() == hour
    assert steps(running.tick(hour)) == [("reminded", "raised", "")]
    assert running.outputs[-1].reason == "still up after 1h"
    # Nobody was there for a day: one reminder is enough.
    assert steps(running.tick(25 * hour)) == [("reminded", "raised", "")]
    running.ask(25 * hour + 1, "ack")
    assert running.engine.next_tick_ms() is None


PARENTS = """
- {id: offline, from: link/+, key: [], when: payload.x > 5}
- {id: parent, from: link/+, key: device, when: payload.x > 5}
- {id: child, from: plant/+, key: device, when: payload.x > 5, suppress: {while_active: offline}}
- {id: twin, from: plant/+, key: device, when: payload.x > 5, suppress: {while_active: [parent]}}
"""


def test_an_alarm_is_held_back_by_a_parent_alarm_and_told_when_that_clears():
    running = Plant(PARENTS)
    running.event(1, 9, device="m2", topic="link/m2")
    found = {(rule, quiet) for rule, _, _, _, quiet in running.event(2, 9)}
    # `parent` has the same key, so only its alarm of m1 would hold `twin` back.
    assert found == {("child", "while_active"), ("twin", "")}
    found = {(rule, quiet) for rule, _, _, _, quiet in running.event(3, 9, device="m2")}
    assert found == {("child", "while_active"), ("twin", "while_active")}
    found = running.event(4, 1, device="m2", topic="link/m2")
    assert [(rule, key, event) for rule, key, event, _, quiet in found if not quiet] == [
        ("offline", "", "cleared"),
        ("child", "m1", "reminded"),
        ("child", "m2", "reminded"),
        ("parent", "m2", "cleared"),
        ("twin", "m2", "reminded"),
    ]


def test_more_alarms_than_a_rule_may_have_become_one_summary():
    running = plant("alarm: {active_max: 2}")
    for n in (1, 2):
        assert running.event(n, 9, device=f"m{n}")[0][4] == ""
    third = running.event(3, 9, device="m3")
    assert third == [
        ("hot", "m3", "raised", "raised", "active_max"),
        ("gateway/alarm-flood", "hot", "raised", "raised", ""),
    ]
    assert running.event(4, 9, device="m4") == [("hot", "m4", "raised", "raised", "active_max")]
    assert running.event(5, 1, device="m4") == [("hot", "m4", "cleared", "idle", "active_max")]
    assert running.event(6, 1, device="m1") == [
        ("hot", "m1", "cleared", "idle", ""),
        ("hot", "m3", "reminded", "raised", ""),
        ("gateway/alarm-flood", "hot", "cleared", "idle", ""),
    ]


def test_the_alarms_of_a_rule_that_is_gone_are_cleared():
    running = plant()
    running.event(1, 9)
    running.text = "- {id: other, from: plant/+, when: payload.x > 100}"
    running.restart()
    found = running.event(2, 9)
    assert found == [("hot", "m1", "cleared", "idle", "")]
    assert running.outputs[-1].reason == "the rule is gone"
    running.restart()
    assert running.event(3, 9) == []


def test_latched_alarms_are_bounded_too():
    running = plant("alarm: {latch: true}, state: {max_keys: 1, ttl: 1s}")
    for n in range(1_200):
        running.event(n * 5_000, 9, device=f"m{n}")
        running.event(n * 5_000 + 1, 1, device=f"m{n}")
    assert len(running.engine._desk.rules["hot"].alarms) <= 1_001


def random_options(rng):
    return {
        "latch": rng.random() < 0.5,
        "cooldown": rng.choice([0, 30, 400]),
        "limit": rng.choice([0, 1, 3]),
        "remind": rng.choice([0, 50, 333]),
        "active_max": rng.choice([1, 2, 10]),
    }


def rule_parts(options):
    suppress = [f"cooldown: {options['cooldown']}ms"]
    suppress += [f"limit: {options['limit']}/s"] if options["limit"] else []
    suppress += [f"remind: {options['remind']}ms"] if options["remind"] else []
    latch = str(options["latch"]).lower()
    return (
        f"alarm: {{latch: {latch}, active_max: {options['active_max']}}}, "
        f"suppress: {{{', '.join(suppress)}}}"
    )


# A random choice of random numbers: drawn one by one, repeats would be too rare to cool down.
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_random_lives_are_those_of_the_twin_and_no_restart_changes_them(seed):
    rng = random.Random(seed)
    options = random_options(rng)
    running, twin, now = plant(rule_parts(options)), Twin(**options), 1_000
    for _ in range(60):
        now += rng.choice([0, 1, 7, 60, 500])
        twin.elapse(now)
        deed = rng.choice(["value"] * 6 + ["ack", "shelve", "unshelve", "tick"])
        key, is_high = rng.choice("abc"), rng.random() < 0.5
        if deed == "value":
            running.event(now, 9 if is_high else 1, device=key)
            twin.value(key, is_high)
        elif deed == "tick":
            running.tick(now)
        else:
            span_ms = rng.choice([0, 5, 40, 700]) if deed == "shelve" else 0
            running.ask(now, deed, {"for": f"{span_ms}ms"} if span_ms else b"", key=key)
            twin.ask(key, deed, span_ms or 3_600_000)
        if rng.random() < 0.2:
            running.restart()
    found = [entry[1:] for entry in told(running.outputs) if entry[0] == "hot"]
    assert found == twin.log


def test_the_same_log_gives_the_same_bytes_however_often_the_gateway_is_restarted():
    rng = random.Random(7)
    parts = "alarm: {latch: true, active_max: 3}, suppress: {remind: 90ms, cooldown: 40ms}"
    steady, restarted = plant(parts), plant(parts)
    now = 0
    for _ in range(400):
        now += rng.choice([0, 3, 20, 80])
        key, choice = rng.choice("abcdef"), rng.random()
        for running in (steady, restarted):
            if choice < 0.7:
                running.event(now, 9 if choice < 0.4 else 1, device=key)
            elif choice < 0.9:
                running.ask(now, "ack" if choice < 0.8 else "shelve", "50ms", key=key)
            else:
                running.tick(now)
        if rng.random() < 0.2:
            restarted.restart()
    assert [o.encode() for o in steady.outputs] == [o.encode() for o in restarted.outputs]
    assert len(steady.outputs) > 200
