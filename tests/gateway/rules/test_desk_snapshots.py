from __future__ import annotations

import pytest
from msgspec import msgpack

from gateway.rules.snapshots import StateTooNew
from tests.harness.rule_runs import Tape, engine_of, save

RULE = "- {id: hot, from: plant/+, when: payload.x > 5, suppress: {cooldown: 1h}}"


def test_only_alarms_that_have_changed_are_written():
    engine, tape, table = engine_of(RULE), Tape(), {}
    for device in ("a/b", "c"):
        engine.feed(tape.event({"x": 9}, device=device, topic="plant/x", arrival=1))
    save(engine, table)
    assert {name for name in table if name.startswith("alarm/")} == {"alarm/hot/a/b", "alarm/hot/c"}
    engine.feed(tape.event({"x": 1}, device="c", topic="plant/x", arrival=2))
    changed = {name for name, _ in engine.snapshot() if name.startswith(("alarm/", "desk/"))}
    assert changed == {"alarm/hot/c", "desk/hot"}


def test_an_alarm_that_a_newer_program_wrote_is_refused():
    newer = msgpack.encode([99, []])
    with pytest.raises(StateTooNew):
        engine_of(RULE).restore([("alarm/hot/c", newer)])


def test_a_rule_that_was_well_again_has_its_error_cleared():
    engine, tape, table = engine_of(RULE), Tape(), {}
    engine.feed(tape.event({"x": 1}, arrival=1))
    engine._desk.report_error(engine._desk.rules["hot"].spec, ValueError("odd"), "an error")
    save(engine, table)
    again = engine_of(RULE)
    again.restore(sorted(table.items()))
    (cleared,) = again.feed(tape.event({"x": 1}, arrival=2))
    assert (cleared.rule, cleared.key, cleared.event) == ("gateway/rule-error", "hot", "cleared")
