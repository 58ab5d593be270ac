from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.rule_runs import Tape, engine_of
from tests.harness.sequence_histories import histories
from tests.harness.sequence_rules import expected, rule_of, run_engine, twin_of
from tests.harness.sequence_twin import Wanted

STEPS = st.lists(st.text("abc", min_size=1, max_size=2), min_size=2, max_size=3)
SKIPS = st.sampled_from(["none", "to_next", "past_last"])


def twin_for(letters, events, skip, within=25):
    steps = [Wanted((one,)) for one in letters]
    return twin_of(steps, events, within=within, skip=skip)


@given(STEPS, histories(size=14), SKIPS)
@settings(max_examples=150, deadline=None)
def test_the_fast_way_finds_what_the_general_one_and_the_definition_find(letters, events, skip):
    twin = twin_for(letters, events, skip)
    found = run_engine(twin)
    assert found == run_engine(twin, is_general=True)
    assert found == expected(twin)


def test_two_and_three_plain_steps_are_run_the_fast_way():
    for letters in ("ab", "abc", "abcd"):
        (plan,) = engine_of(rule_of(twin_for(letters, [], "none")))._lanes[0].plans
        assert plan.pattern.is_linear is (len(letters) <= 3)


@pytest.mark.parametrize("is_general", [False, True])
@pytest.mark.parametrize("skip", ["none", "past_last"])
def test_the_oldest_partial_match_gives_way_and_is_counted(skip, is_general):
    rule = rule_of(twin_for("ab", [], skip, within=1_000)) + "  state: {max_partials: 3}\n"
    engine, tape = engine_of(rule), Tape()
    (plan,) = engine._lanes[0].plans
    if is_general:
        plan.pattern.is_linear = False
    found = []
    for no, letter in enumerate("aaaaab"):
        found += engine.feed(tape.event({"k": letter, "no": no}, arrival=1_000 + no))
    starts = [o.message.split(" ")[0] for o in found if o.event == "raised"]
    assert starts == (["2", "3", "4"] if skip == "none" else ["2"])
    assert engine.counters["r"].dropped_partials == 2


@pytest.mark.parametrize("is_general", [False, True])
def test_what_waits_in_vain_makes_room_before_the_oldest_does(is_general):
    rule = rule_of(twin_for("ab", [], "none", within=10)) + "  state: {max_partials: 2}\n"
    engine, tape = engine_of(rule), Tape()
    (plan,) = engine._lanes[0].plans
    if is_general:
        plan.pattern.is_linear = False
    for no, arrival in enumerate((1_000, 1_001, 1_020, 1_021)):
        engine.feed(tape.event({"k": "a", "no": no}, arrival=arrival))
    assert engine.counters["r"].dropped_partials == 0
