"""Rules over made-up records: what a test of the engine needs to say what comes in."""

from __future__ import annotations

import json
import random
from functools import cache

from gateway.events import Origin, RecordBatch, Run
from gateway.rules import Engine, Transition, parse_rules


@cache
def rules_of(text):
    """The rules of a file that consists of this list; `defaults` may stand before it."""
    body = text if "rules:" in text else f"rules:\n{text}"
    return parse_rules(f"version: 1\n{body}").rules


def engine_of(text):
    return Engine(rules_of(text))


class Tape:
    """Records as the log would hold them: each call is one commit of one record."""

    def __init__(self, stream="telemetry", partitions=1):
        self.stream = stream
        self.partitions = partitions
        self.batches = []
        self.offsets = {}
        self.commit_no = 0

    def event(self, payload, *, topic="plant/m1", device="m1", arrival=0, client="c"):
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        partition = sum(device.encode()) % self.partitions
        return self._add(self.stream, partition, client, arrival, Origin(topic, device), raw)

    def tick(self, now_ms):
        raw = json.dumps({"now_ms": now_ms}).encode()
        return self._add("ticks", 0, "$rules", now_ms, Origin("ticks", "ticks"), raw)

    def _add(self, stream, partition, client, arrival, origin, raw):
        self.commit_no += 1
        offset = self.offsets.get((stream, partition), 0)
        self.offsets[stream, partition] = offset + 1
        run = Run(stream, partition, client, arrival, [origin], [raw], b"\x00")
        batch = RecordBatch(stream, partition, offset, self.commit_no, [run])
        self.batches.append(batch)
        return [batch]


def transitions(outputs):
    """What the alarms did, as (rule, key, event, time)."""
    return [
        (output.rule, output.key, output.event, output.time_ms)
        for output in outputs
        if isinstance(output, Transition)
    ]


def steps(outputs):
    """What the alarms did, as (event, time), for tests with one rule and key."""
    return [(event, time_ms) for _, _, event, time_ms in transitions(outputs)]


def run_events(text, events, **event_fields):
    """Feed (time, value) pairs to one rule; lists its (event, time) steps."""
    engine, tape, found = engine_of(text), Tape(), []
    for time_ms, value in events:
        found += engine.feed(
            tape.event({"ts": time_ms, "x": value}, arrival=time_ms, **event_fields)
        )
    return steps(found)


BY_EVENT = "time: {by: event, field: payload.ts}"
SIMPLE = f"- {{id: hot, from: plant/+, key: device, when: payload.x > 5, {BY_EVENT}}}"

MANY = """
defaults:
  from: plant/+
  key: device
  time: {by: event, field: payload.ts, out_of_order: 20ms, idle: 50ms}
rules:
  - {id: plain, when: payload.x > 5}
  - id: levels
    when: payload.x > 3
    clear: payload.x < 2
    clear_for: 30ms
    alarm:
      message: "{device} {payload.x}"
      levels:
        - {severity: major, when: payload.x > 7}
        - {severity: critical, when: payload.x > 8, for: 10ms}
  - id: held
    where: payload.x != 2
    when: payload.x > 4
    for: 60ms
    alarm: {message: "{payload.x} {topic}"}
  - id: avg
    window: {sliding: 90ms, min_samples: 2}
    aggregate: {m: avg(payload.x), s: stddev(payload.x)}
    when: m > 5
    clear: m < 4
    alarm: {message: "{m:.3f} {s:.3f}"}
  - id: tumbled
    window: {tumbling: 40ms}
    aggregate: {m: max(payload.x), n: count()}
    when: m > 8 || n > 3
    publish: {topic: "out/{device}", payload: {m: "{m}"}}
  - id: hopped
    window: {hopping: 60ms, every: 20ms}
    aggregate: {m: slope(payload.x)}
    when: m > 100
  - id: sessions
    window: {session: 15ms, max: 80ms}
    aggregate: {d: time_avg(payload.x)}
    when: d > 6
  - {id: counted, window: {count: 4}, aggregate: {d: median(payload.x)}, when: d > 7}
  - id: change
    let: {twice: payload.x * 2}
    when: changed(payload.x > 5) && twice > 10
    repeat: {times: 2, within: 1s}
  - {id: previous, when: payload.x > prev.payload.x + 6}
  - id: fleet
    key: []
    window: {sliding: 40ms}
    aggregate: {n: distinct(device)}
    when: n > 2
    time: {by: arrival}
  - {id: few, when: payload.x > 5, state: {max_keys: 2, ttl: 300ms}}
  - id: climb
    sequence:
      within: 200ms
      steps:
        - {id: low, when: payload.x < 4}
        - {id: high, when: payload.x > low.payload.x + 3, times: {min: 1, max: 2}}
        - {not: payload.x == 5, within: 30ms}
    alarm: {message: "{low.payload.x} {high.last.payload.x} {topic}"}
  - id: pair
    sequence: {within: 60ms, steps: [{id: a, when: payload.x < 3}, {id: b, when: payload.x > 7}]}
    alarm: {auto_clear: 40ms, message: "{a.payload.x} {b.payload.x}"}
  - {id: quiet, absent: {for: 60ms}}
  - {id: gap, absent: {for: 60ms, clock: event}}
"""


def story(seed, length=260):
    rng, tape, now_ms = random.Random(seed), Tape(partitions=2), 10_000
    for _ in range(length):
        now_ms += rng.choice([0, 1, 2, 5, 8, 20, 40])
        if rng.random() < 0.06:
            now_ms += rng.randint(0, 400)
            tape.tick(now_ms)
            continue
        payload = {"ts": now_ms - rng.randint(0, 25), "x": rng.randint(0, 10)}
        if rng.random() < 0.05:
            payload = rng.choice([{"ts": now_ms}, {"x": 9}, b"?", {"ts": now_ms, "x": None}])
        device = rng.choice(["a", "b", "c", "d"])
        tape.event(payload, device=device, topic=f"plant/{device}", arrival=now_ms)
    return tape.batches


def save(engine, table):
    save_entries(engine.snapshot(), table)


def save_entries(entries, table):
    for name, value in entries:
        if value is None:
            table.pop(name, None)
        else:
            table[name] = value


def encoded(output):
    return output.encode() if isinstance(output, Transition) else output
