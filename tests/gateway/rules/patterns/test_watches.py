from __future__ import annotations

import json

from gateway.events import Origin
from gateway.rules import Engine, parse_rules
from gateway.rules.features import FEATURES
from tests.harness.rule_runs import Tape, save, transitions

RULES = """
version: 1
lookups: {{assets: {{file: {file}, key: device}}}}
rules:
  - id: silent
    from: plant/+
    absent: {{for: 5s, expect: "lookup:assets", startup_grace: {grace}}}
    alarm: {{message: "{{device}} is silent"}}
"""


def engine_of(tmp_path, *keys, grace="0s"):
    """An engine that expects these keys, as if they stood in a file beside its rules."""
    path = tmp_path / "assets.csv"
    path.write_text("name,device\n" + "".join(f"x,{key}\n" for key in keys))
    rules = parse_rules(RULES.format(file=path, grace=grace), "r.yaml", FEATURES)
    return Engine(rules.rules, rules.inventories)


def start(tape, now_ms):
    raw = json.dumps({"now_ms": now_ms, "is_start": True}).encode()
    return tape._add("ticks", 0, "$rules", now_ms, Origin("ticks", "ticks"), raw)


def run(engine, *batches):
    return [(k, e, t) for b in batches for _, k, e, t in transitions(engine.feed(b))]


def test_a_key_that_was_never_seen_is_silent_from_the_first_record_on(tmp_path):
    engine, tape = engine_of(tmp_path, "a", "b"), Tape()
    found = engine.feed(tape.event({}, device="a", arrival=1_000))
    found += engine.feed(tape.tick(6_000))
    assert [(o.key, o.event, o.time_ms) for o in found] == [
        ("a", "raised", 6_000),
        ("b", "raised", 6_000),
    ]
    assert found[1].message == "b is silent"
    assert run(engine, tape.event({}, device="b", arrival=7_000)) == [("b", "cleared", 7_000)]


def test_a_key_that_no_one_expects_is_not_watched(tmp_path):
    engine, tape = engine_of(tmp_path, "a"), Tape()
    found = run(engine, tape.event({}, device="spare", arrival=1_000), tape.tick(9_000))
    assert found == [("a", "raised", 6_000)]


def test_the_grace_puts_silence_off_for_all_that_are_expected(tmp_path):
    engine, tape = engine_of(tmp_path, "a", grace="2s"), Tape()
    assert run(engine, tape.tick(1_000), tape.tick(7_999)) == []
    assert run(engine, tape.tick(8_000)) == [("a", "raised", 8_000)]


def test_a_start_of_the_gateway_grants_the_grace_anew(tmp_path):
    engine, tape = engine_of(tmp_path, "a", "b", grace="2s"), Tape()
    run(engine, start(tape, 1_000), tape.event({}, device="b", arrival=4_000))
    # The gateway was down from 5 s to 7 s.
    assert engine.awaits_starts
    assert run(engine, start(tape, 7_000), tape.tick(13_999)) == []
    assert run(engine, tape.tick(14_000)) == [("a", "raised", 14_000), ("b", "raised", 14_000)]
    assert run(engine, start(tape, 20_000), tape.tick(60_000)) == []


def test_a_message_within_the_grace_counts_from_its_own_time(tmp_path):
    engine, tape = engine_of(tmp_path, "a", grace="2s"), Tape()
    run(engine, start(tape, 1_000), tape.event({}, device="a", arrival=1_500))
    assert run(engine, tape.tick(7_000)) == [("a", "raised", 6_500)]


def test_a_restart_goes_on_counting_where_it_stopped(tmp_path):
    engine, tape, table = engine_of(tmp_path, "a", "b"), Tape(), {}
    run(
        engine, tape.event({}, device="a", arrival=1_000), tape.event({}, device="a", arrival=3_000)
    )
    save(engine, table)
    engine = engine_of(tmp_path, "a", "b")
    assert engine.restore(sorted(table.items())) == []
    assert engine.next_tick_ms() == 6_000
    found = run(engine, tape.event({}, device="spare", arrival=3_000), tape.tick(9_000))
    assert found == [("b", "raised", 6_000), ("a", "raised", 8_000)]


def test_a_key_that_left_the_inventory_clears_and_a_new_one_is_watched(tmp_path):
    engine, tape = engine_of(tmp_path, "a", "b"), Tape()
    run(engine, tape.tick(1_000), tape.tick(6_000))
    engine.expect("assets", ("b", "c"))
    found = engine.feed(tape.tick(10_000))
    assert [(o.key, o.event, o.reason) for o in found] == [
        ("a", "cleared", "lookup:assets expects it no more")
    ]
    assert run(engine, tape.tick(15_000)) == [("c", "raised", 15_000)]


def test_rules_without_a_grace_or_an_inventory_await_no_starts():
    rule = "version: 1\nrules: [{id: a, from: t, absent: {for: 5s}}]"
    assert not Engine(parse_rules(rule).rules).awaits_starts
