"""Worked rules of the language about series of numbers: statistics, the greatest, and shifts."""

from __future__ import annotations

import json
import random

from gateway.rules import Derived, Transition
from gateway.rules.loopbacks import Loopback
from tests.harness.rule_runs import Tape, engine_of

# Rules 9, 10 and 11 of the worked examples, as they stand there.
WORKED = """
defaults:
  key: device
  time:
    {by: event, field: payload.ts, out_of_order: 5s, late: 2m, early: 5m, idle: 30s, watermark: key}
  on_unknown: hold
  state: {ttl: 7d, max_keys: 5000}
rules:
  - id: power-1m
    from: telemetry/+/meter
    window: {tumbling: 1m, allowed_lateness: 30s}
    aggregate:
      kw: time_avg(payload.kw)
      p95: percentile(payload.kw, 95)
      sd: stddev(payload.kw)
      n: count()
    emit: {stream: power-1m, on: window}
  - id: top-consumers
    from: rule:power-1m
    key: []
    window: {tumbling: 15m}
    aggregate: {top: "topk(device, payload.kw, 5)"}
    emit: {stream: top-consumers, fields: {top: top}}
  - id: bearing-shift
    from: telemetry/+/bearing
    anomaly:
      value: payload.temperature
      method: level_shift
      history: 1000
      sensitivity: 3.0
      warmup: 200
    alarm:
      severity: warning
      message: "bearing temperature behaves unlike its history (score {score:.1f})"
    suppress: {cooldown: 6h}
"""
START_MS = 1_767_225_600_000
MINUTE_MS = 60_000


class Site:
    """The worked rules, and everything that they have said."""

    def __init__(self):
        self.loop = Loopback(engine_of(WORKED), ["power-1m", "top-consumers"])
        self.tape, self.outputs = Tape(), []

    def send(self, sort, device, time_ms, *, arrival_ms=None, **fields):
        """An event, which comes a second after its time unless said otherwise."""
        topic = f"telemetry/{device}/{sort}"
        arrival_ms = START_MS + (time_ms + 1_000 if arrival_ms is None else arrival_ms)
        payload = {"ts": START_MS + time_ms, **fields}
        batches = self.tape.event(payload, topic=topic, device=device, arrival=arrival_ms)
        self.outputs += self.loop.feed(batches)

    def records(self, stream):
        return [
            (json.loads(output.payload), output.key)
            for output in self.outputs
            if isinstance(output, Derived) and output.stream == stream
        ]


def test_statistics_of_each_minute_are_corrected_by_what_comes_late():
    site = Site()
    for second in range(0, 100, 10):
        if second != 40:
            site.send("meter", "m1", second * 1_000, kw=second / 10)
    site.send("meter", "m1", 40_000, arrival_ms=101_000, kw=4)
    first, second = [record for record, _ in site.records("power-1m")]
    assert (first["ts"], first["n"], first["kw"]) == (START_MS + MINUTE_MS, 5, 14 / 6)
    assert (second["ts"], second["n"], second["kw"], second["revision"]) == (
        START_MS + MINUTE_MS, 6, 2.5, 1,
    )  # fmt: skip


def test_the_five_that_took_most_in_a_quarter_of_an_hour():
    site = Site()
    for minute in range(18):
        for number in range(8):
            kw = number if minute == 7 else 0.5
            site.send("meter", f"m{number}", minute * MINUTE_MS + number, kw=kw)
    ((record, key),) = site.records("top-consumers")[:1]
    assert key == ""
    assert record["ts"] == START_MS + 15 * MINUTE_MS
    assert record["top"] == [{"by": f"m{n}", "value": float(n)} for n in (7, 6, 5, 4, 3)]


def test_a_bearing_that_becomes_warmer_than_it_ever_was():
    rng, site = random.Random(3), Site()
    for place in range(600):
        level = 60 if place < 500 else 63
        site.send("bearing", "b1", place * 10_000, temperature=level + rng.gauss(0, 0.5))
    raised = [o for o in site.outputs if isinstance(o, Transition) and o.event == "raised"]
    assert [output.key for output in raised] == ["b1"]
    assert 0 <= raised[0].time_ms - START_MS - 5_000_000 < 200_000
    assert raised[0].message.startswith("bearing temperature behaves unlike its history (score ")
