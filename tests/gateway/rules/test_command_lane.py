from __future__ import annotations

from gateway.rules import Transition
from tests.harness.rule_runs import Tape, engine_of

RULES = """
- {id: hot, from: plant/+, when: payload.x > 5}
- {id: asked, from: alarms/#, key: topic, when: payload.by == "anna"}
"""


def test_who_asks_is_who_published_and_rules_may_read_it_as_well():
    engine, tape = engine_of(RULES), Tape()
    engine.feed(tape.event({"x": 9}, arrival=1))
    found = engine.feed(
        tape.event({"by": "anna"}, topic="alarms/hot/m1/ack", arrival=2, client="c7")
    )
    assert next((o.rule, o.event, o.reason) for o in found if isinstance(o, Transition)) == (
        "hot",
        "acked",
        "acknowledged by anna",
    )
    assert [o.rule for o in found] == ["hot", "asked"]


def test_what_rules_publish_asks_for_nothing():
    engine, tape = engine_of(RULES), Tape()
    engine.feed(tape.event({"x": 9}, arrival=1))
    assert engine.feed(tape.event(b"", topic="alarms/hot/m1/ack", arrival=2, client="$rules")) == []
