from __future__ import annotations

import json
import random

import pytest

from gateway.events import Origin, RecordBatch, Run
from gateway.rules import Derived, Engine, Transition
from gateway.rules.loopbacks import Loopback, run_of
from tests.harness.rule_runs import Tape, rules_of, transitions

CHAIN = """
defaults:
  key: device
  time: {by: event, field: payload.ts, late: 1s}
rules:
  - id: per-s
    from: plant/+
    window: {tumbling: 1s}
    aggregate: {kw: avg(payload.kw), n: count()}
    emit: {stream: power}
  - id: total
    from: rule:per-s
    key: []
    window: {tumbling: 4s}
    aggregate: {sum: sum(payload.kw), who: distinct(device)}
    emit: {stream: totals}
  - {id: much, from: "rule:total", key: [], when: payload.sum > 40}
  - {id: any, from: "#", key: [], when: payload.kw > 1000}
"""
STREAMS = ("power", "totals")


def loopback():
    return Loopback(Engine(rules_of(CHAIN)), STREAMS)


def feed_story(target, tape, seed=1, seconds=30):
    rng, found = random.Random(seed), []
    for now_ms in range(0, seconds * 1_000, 250):
        for device in ("a", "b"):
            payload = {"ts": now_ms, "kw": rng.randint(0, 9)}
            found += target.feed(
                tape.event(payload, device=device, topic=f"plant/{device}", arrival=now_ms)
            )
    return found


def records(outputs, stream):
    return [json.loads(o.payload) for o in outputs if isinstance(o, Derived) and o.stream == stream]


def test_rules_feed_rules_along_the_chain_with_their_own_time():
    tape = Tape()
    found = feed_story(loopback(), tape)
    per_s = [
        (o.device, json.loads(o.payload)) for o in found if getattr(o, "stream", "") == "power"
    ]
    totals = records(found, "totals")
    # By definition: a record's time is the end of its window, so it belongs to the next four.
    for total in totals:
        inside = [one["kw"] for _, one in per_s if total["ts"] - 4_000 <= one["ts"] < total["ts"]]
        assert total["sum"] == sum(inside)
        assert total["who"] == 2
    assert len(totals) == 7
    is_high = [(one["ts"], one["sum"] > 40) for one in totals]
    expected, is_up = [], False
    for time_ms, high in is_high:
        if high != is_up:
            expected.append(("much", "", "raised" if high else "cleared", time_ms))
            is_up = high
    assert transitions(found) == expected
    assert expected


def test_the_cause_of_a_derived_output_is_the_derived_record():
    found = feed_story(loopback(), Tape())
    raised = next(o for o in found if isinstance(o, Transition))
    assert (raised.cause.stream, raised.cause.partition) == ("totals", 0)


def test_derived_records_of_others_don_t_count():
    rules = Engine(rules_of(CHAIN))
    run = Run("totals", 0, "mallory", 5, [Origin("derived/totals", "x")], [b'{"sum": 99}'], b"\0")
    assert rules.feed([RecordBatch("totals", 0, 0, 1, [run])]) == []
    genuine = Run(
        "totals", 0, "$rules", 5, [Origin("derived/totals", "x")], [b'{"sum": 99}'], b"\0"
    )
    assert len(rules.feed([RecordBatch("totals", 0, 1, 2, [genuine])])) == 1


@pytest.mark.parametrize("delay", [0, 1, 7])
def test_how_late_the_log_gives_derived_records_back_changes_nothing(delay):
    """The log may commit them any number of commits later: their time is their own."""
    whole = feed_story(loopback(), Tape())
    engine, tape, found, waiting, offsets = Engine(rules_of(CHAIN)), Tape(), [], [], {}

    class Later:
        def feed(self, batches):
            outputs = engine.feed(batches)
            waiting.append([o for o in outputs if isinstance(o, Derived)])
            if len(waiting) > delay:
                outputs += give_back(waiting.pop(0))
            return outputs

    def give_back(derived):
        outputs = []
        for one in derived:
            offset = offsets.get(one.stream, 0)
            offsets[one.stream] = offset + 1
            outputs += engine.feed([RecordBatch(one.stream, 0, offset, 1, [run_of(one)])])
        if found_more := [o for o in outputs if isinstance(o, Derived)]:
            outputs += give_back(found_more)
        return outputs

    found = feed_story(Later(), tape)
    while waiting:
        found += give_back(waiting.pop(0))
    assert sorted(one.id for one in found) == sorted(one.id for one in whole)
    assert records(found, "totals") == records(whole, "totals")
    assert transitions(found) == transitions(whole)
