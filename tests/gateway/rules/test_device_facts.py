from __future__ import annotations

import json
import random

import pytest

from gateway.events import Origin, RecordBatch, Run
from gateway.rules import Engine, parse_rules
from gateway.rules.device_facts import DeviceFacts, Fact, decode_fact
from tests.harness.rule_runs import Tape, rules_of, transitions

HOT = """
- id: hot
  from: plant/#
  let: {limit: twin.desired.limit}
  when: payload.x > limit
  alarm: {message: "{device} at {tags.site} is above {twin.desired.limit}"}
"""


class Log(Tape):
    """Records of the plant, and what becomes known of devices."""

    def fact(self, device, part, value, *, client="$gateway"):
        raw = json.dumps({"part": part, "value": value}).encode()
        return self._add("twins", 0, client, 0, Origin(f"twin/{device}/changed", device), raw)


def test_a_rule_reads_what_was_known_at_the_place_of_the_event():
    log, engine = Log(), Engine(rules_of(HOT))
    log.event({"x": 9})
    log.fact("m1", "tags", {"site": "north"})
    log.fact("m1", "desired", {"limit": 5})
    log.event({"x": 9})
    log.fact("m1", "desired", {"limit": 10})
    log.event({"x": 9})
    outputs = engine.feed(log.batches)
    assert [event for _, _, event, _ in transitions(outputs)] == ["raised", "cleared"]
    assert outputs[0].message == "m1 at north is above 5"


def test_what_clients_say_of_twins_is_not_known():
    log, engine = Log(), Engine(rules_of(HOT))
    log.fact("m1", "desired", {"limit": 5}, client="m1")
    log.event({"x": 9})
    assert engine.feed(log.batches) == []


def test_what_is_removed_is_unknown_from_then_on():
    log, engine = Log(), Engine(rules_of(HOT))
    log.fact("m1", "desired", {"limit": 5})
    log.fact("m1", "removed", {})
    log.event({"x": 9})
    assert engine.feed(log.batches) == []


def test_rules_may_watch_the_stream_of_twins_itself():
    engine = Engine(
        rules_of("""
- id: changed
  from: twin/+/changed
  when: payload.part == "desired" && twin.desired.a == 1
""")
    )
    log = Log()
    log.fact("m1", "desired", {"a": 1})
    assert engine.feed(log.batches) == []
    log.fact("m1", "desired", {"a": 2})
    assert len(engine.feed(log.batches[1:])) == 1


@pytest.mark.parametrize(
    "rule",
    [
        "let: {tags: payload.x}\n  when: tags > 5",
        "enrich: {twin: 'machines[device]'}\n  when: twin.limit < payload.x",
    ],
)
def test_a_name_of_the_rule_itself_hides_them(rule):
    text = f"""
version: 1
lookups: {{machines: {{file: m.csv, key: id}}}}
rules:
- id: own
  from: plant/#
  {rule}
"""
    (own,) = parse_rules(text).rules
    assert "$twin" not in [one.lookup for one in own.enrich]


def test_who_reads_nothing_of_devices_keeps_nothing_of_them():
    assert not rules_of("- {id: a, from: plant/#, when: payload.x > 1}")[0].enrich
    log, engine = Log(), Engine(rules_of("- {id: a, from: plant/#, when: payload.x > 1}"))
    log.fact("m1", "desired", {"limit": 5})
    engine.feed(log.batches)
    assert not [name for name, _ in engine.snapshot() if name.startswith("fact")]


def random_log(seed):
    chance, log = random.Random(seed), Log(partitions=2)
    for _ in range(150):
        device = chance.choice(["m1", "m2", "m3"])
        kind = chance.random()
        if kind < 0.6:
            log.event({"x": chance.randint(0, 9)}, topic=f"plant/{device}", device=device)
        elif kind < 0.85:
            log.fact(device, "desired", {"limit": chance.randint(0, 9)})
        elif kind < 0.97:
            log.fact(device, "tags", {"site": chance.choice(["north", "south"])})
        else:
            log.fact(device, "removed", {})
    return log


@pytest.mark.parametrize("seed", range(5))
def test_however_it_is_cut_and_restarted_it_says_the_same(seed):
    log = random_log(seed)
    whole = Engine(rules_of(HOT)).feed(log.batches)
    chance = random.Random(seed)
    entries, outputs, at = {}, [], 0
    while at < len(log.batches):
        engine = Engine(rules_of(HOT))
        for name in engine.restore(sorted(entries.items())):
            del entries[name]
        stop = at + chance.randint(1, 40)
        outputs += engine.feed(log.batches[at:stop])
        for name, value in engine.snapshot():
            if value is None:
                entries.pop(name, None)
            else:
                entries[name] = value
        at = stop
    assert outputs == whole
    assert len(whole) > 10


def test_a_batch_is_read_record_by_record():
    log, chance = random_log(9), Engine(rules_of(HOT))
    one = chance.feed(log.batches)
    together = []
    for batch in log.batches:
        last = together[-1] if together else None
        if last is not None and (last.stream, last.partition) == (batch.stream, batch.partition):
            runs = [*last.runs, *batch.runs]
            together[-1] = RecordBatch(
                batch.stream, batch.partition, last.base_offset, last.commit_no, runs
            )
        else:
            together.append(batch)
    other = Engine(rules_of(HOT)).feed(together)
    assert [output.message for output in other] == [output.message for output in one]


def test_rules_that_read_no_facts_any_more_forget_them():
    log, engine = Log(), Engine(rules_of(HOT))
    log.fact("m1", "desired", {"limit": 5})
    engine.feed(log.batches)
    engine.facts.begin([Fact("m2", "tags", {"site": "south"})])
    entries = [(name, value) for name, value in engine.snapshot() if value is not None]
    facts = {name for name, _ in entries if name.startswith("fact/")}
    assert facts == {"fact/m1", "fact/m2", "fact//known"}
    again = Engine(rules_of(HOT))
    again.restore(sorted(entries))
    assert again.facts.is_known
    other = Engine(rules_of("- {id: a, from: plant/#, when: payload.x > 1}"))
    assert facts <= set(other.restore(sorted(entries)))


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("twin/m1/desired", b'{"part": "tags", "value": {}}'),
        ("twin/m1/changed/x", b'{"part": "tags", "value": {}}'),
        ("twin/m1/changed", b"{"),
        ("twin/m1/changed", b'{"part": "other", "value": {}}'),
        ("twin/m1/changed", b'{"part": "tags", "value": 1}'),
    ],
)
def test_what_is_no_fact_is_none(topic, payload):
    assert decode_fact(topic, payload) is None


def test_what_was_read_stays_as_it_was():
    facts = DeviceFacts()
    facts.take(Fact("m1", "desired", {"a": 1}))
    rows = facts.versions["$twin"].rows
    row = rows["m1"]
    facts.take(Fact("m1", "reported", {"b": 2}))
    assert row == {"desired": {"a": 1}}
    assert rows["m1"] == {"desired": {"a": 1}, "reported": {"b": 2}}


def test_a_run_of_a_fast_lane_reads_facts_as_well():
    log = Log()
    log.fact("m1", "desired", {"limit": 5})
    origins = [Origin("plant/m1", "m1")] * 3
    run = Run("telemetry", 0, "c", 0, origins, [b'{"x": 9}', b'{"x": 1}', b'{"x": 9}'], bytes(3))
    log.batches.append(RecordBatch("telemetry", 0, 0, 9, [run]))
    outputs = Engine(rules_of(HOT)).feed(log.batches)
    assert [event for _, _, event, _ in transitions(outputs)] == ["raised", "cleared", "raised"]
