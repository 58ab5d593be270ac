from __future__ import annotations

import random
from math import inf

import pytest
from hypothesis import given, settings

from tests.harness.rule_runs import Tape, encoded, engine_of, save, steps, transitions
from tests.harness.sequence_histories import histories, sequences
from tests.harness.sequence_rules import expected, rule_of, run_engine, tell, twin_of
from tests.harness.sequence_twin import Forbidden, Wanted


@given(sequences(), histories())
@settings(max_examples=120, deadline=None)
def test_the_automaton_finds_what_the_definition_says(sequence, events):
    steps, options = sequence
    twin = twin_of(steps, events, **options)
    assert run_engine(twin, is_general=True, end=100_000) == expected(twin)


def chains(letters, *wanted, skip="none", within=1_000, last_guards=()):
    """The matches over events a millisecond apart, told by the events' numbers."""
    events = [(1_000 + no, letter) for no, letter in enumerate(letters)]
    twin = twin_of(wanted, events, skip=skip, within=within, last_guards=last_guards)
    found = run_engine(twin, is_general=True, end=100_000)
    assert found == expected(twin)
    return [message for _, message in found]


def b(contiguity, **options):
    return Wanted(("b",), contiguity, **options)


A, C = Wanted(("a",)), Wanted(("c",))
MANY = {"least": 1, "most": inf}


# The worked examples of Flink's documentation of patterns, in its own letters.


@pytest.mark.parametrize(
    ("contiguity", "found"),
    [("strict", []), ("relaxed", ["0 | 2"]), ("any", ["0 | 2", "0 | 3"])],
)
def test_contiguity_between_two_steps(contiguity, found):
    # "a b" over a c b1 b2
    assert chains("acbb", A, b(contiguity)) == found


@pytest.mark.parametrize(
    ("contiguity", "taken"),
    [
        # Strict: no adjacent bs. Greedy: of the prefixes that others list, the longest.
        ("strict", ["1"]),
        ("relaxed", ["135"]),
        ("any", ["135", "13", "15", "1", "35", "3", "5"]),
    ],
)
def test_contiguity_within_a_loop(contiguity, taken):
    # "a b+ c" over a b1 d1 b2 d2 b3 c
    wanted = [f"0 | {one[0]}-{one[-1]}/{len(one)}/{sum(map(int, one))} | 6" for one in taken]
    assert chains("abdbdbc", A, b(contiguity, **MANY), C) == wanted


@pytest.mark.parametrize(
    ("skip", "starts"), [("none", [0, 1, 2]), ("to_next", [0, 1, 2]), ("past_last", [0])]
)
def test_skip_strategies_of_a_loop_before_a_step(skip, starts):
    # "b+ c" over b1 b2 b3 c
    wanted = [f"{s}-2/{3 - s}/{sum(range(s, 3))} | 3" for s in starts]
    assert chains("bbbc", b("relaxed", **MANY), C, skip=skip) == wanted


@pytest.mark.parametrize(("skip", "counts"), [("none", [1, 2, 3]), ("to_next", [1])])
def test_skip_strategies_of_a_loop_at_the_end(skip, counts):
    # "a b+" over a b1 b2 b3
    wanted = [f"0 | 1-{n}/{n}/{sum(range(1, n + 1))}" for n in counts]
    assert chains("abbb", A, b("relaxed", **MANY), skip=skip) == wanted


def test_a_later_start_is_a_match_of_its_own():
    # "(a | b | c) (b | c) c+ d" over a b c1 c2 c3 d, without skipping
    steps = [Wanted(("abc",)), Wanted(("bc",)), Wanted(("c",), **MANY), Wanted(("d",))]
    assert chains("abcccd", *steps) == [
        "0 | 1 | 2-4/3/9 | 5",
        "1 | 2 | 3-4/2/7 | 5",
        "2 | 3 | 4-4/1/4 | 5",
    ]


def test_a_loop_ends_with_until():
    # "a+ until b" over a1 c a2 b a3
    step = Wanted(("a",), until="b", **MANY)
    last = Wanted(("ace",), is_skippable=True)
    events = [(1_000 + n, k) for n, k in enumerate("acaba")]
    twin = twin_of([step, last], events, skip="to_next", within=1_000)
    assert [m.split(" |")[0] for _, m in expected(twin)] == ["0-0/1/0", "2-2/1/2", "4-4/1/4"]
    assert run_engine(twin, is_general=True) == expected(twin)


def test_quantifiers():
    twice = {"least": 2, "most": 2}
    assert chains("abcb", A, b("relaxed", **twice)) == ["0 | 1-3/2/4"]
    assert chains("abcb", A, b("strict", **twice)) == []
    assert chains("ac", A, b("relaxed", is_skippable=True), C) == ["0 | ? | 1"]
    assert chains("abc", A, b("relaxed", is_skippable=True), C) == ["0 | 1 | 2"]


def test_a_not_between_steps_ends_what_it_stands_in():
    between = Wanted(("c",), guards=(Forbidden("b"),))
    assert chains("abac", A, between) == ["2 | 3"]
    next_only = Wanted(("c",), guards=(Forbidden("b", is_strict=True),))
    assert chains("adbc", A, next_only) == ["0 | 3"]
    assert chains("abc", A, next_only) == []


def test_parts_of_all_of_come_in_any_order():
    both = Wanted(("a", "b"), least=2, most=2)
    assert chains("ba", both, C) == []
    assert chains("bdac", both, C) == ["2 0 | 3"]
    assert chains("abc", both, C) == ["0 1 | 2"]


NOT_ACKED = """
- id: r
  from: plant/+
  key: device
  sequence:
    on_timeout: emit
    within: 1m
    steps:
      - {id: cmd, when: payload.k == "cmd"}
      - {id: go, when: payload.k == "go" && payload.cid == cmd.payload.cid, optional: true}
      - {not: payload.k == "ack" && payload.cid == cmd.payload.cid, within: 20s}
  alarm: {message: "{cmd.payload.cid} {payload.k} {go.payload.x}"}
"""


def feed(rule, *events):
    engine, tape, found = engine_of(rule), Tape(), []
    for arrival, payload in events:
        found += engine.feed(tape.event(payload, arrival=arrival))
    return engine, tape, found


def test_a_not_at_the_end_fires_when_its_time_is_over_and_not_before():
    _, _, found = feed(
        NOT_ACKED,
        (1_000, {"k": "cmd", "cid": 1}),
        (2_000, {"k": "cmd", "cid": 2}),
        (3_000, {"k": "ack", "cid": 1}),
        (21_999, {"k": "ack", "cid": 3}),
        (22_000, {"k": "ack", "cid": 2}),
    )
    assert steps(found) == [("raised", 22_000), ("cleared", 22_000)]
    assert found[0].message == "2 cmd ?"
    assert found[0].reason.endswith(
        'no payload.k == "ack" && payload.cid == cmd.payload.cid within 20s'
    )


def test_an_event_that_the_run_takes_begins_its_silence_anew():
    engine, tape, found = feed(
        NOT_ACKED.replace("payload.cid == cmd.payload.cid, optional", "true, optional"),
        (1_000, {"k": "cmd", "cid": 1}),
        (11_000, {"k": "go", "x": 5}),
        (21_000, {}),
    )
    assert found == []
    raised, _ = engine.feed(tape.event({}, arrival=31_000))
    assert raised.message == "1 go 5"


TIMEOUT = """
- id: r
  from: plant/+
  key: device
  sequence:
    on_timeout: emit
    within: 10s
    steps: [{id: a, when: payload.k == "a"}, {id: b, when: payload.k == "b"}]
  publish:
    - {topic: "x/{event}", on: [match, timeout], payload: {a: "{a.payload.n}", b: "{b.payload.n}"}}
"""


def test_a_match_that_runs_out_of_time_tells_of_what_it_had():
    _, _, found = feed(
        TIMEOUT,
        (1_000, {"k": "a", "n": 1}),
        (2_000, {"k": "b", "n": 2}),
        (3_000, {"k": "a", "n": 3}),
        (13_000, {"k": "b", "n": 4}),
    )
    told = [(o.topic, o.payload) for o in found if hasattr(o, "topic") and hasattr(o, "retain")]
    assert told == [("x/match", b'{"a":1,"b":2}'), ("x/timeout", b'{"a":3,"b":null}')]
    assert steps(found) == [("raised", 2_000), ("cleared", 2_000)]


def test_the_silence_before_the_first_step_must_have_lasted():
    rule = """
- id: r
  from: plant/+
  key: device
  sequence:
    steps:
      - {not: payload.k == "badge", within: 30s}
      - {id: m, when: payload.k == "motion"}
"""
    _, _, found = feed(
        rule,
        (1_000, {"k": "motion"}),
        (31_000, {"k": "motion"}),
        (32_000, {"k": "badge"}),
        (61_999, {"k": "motion"}),
        (62_000, {"k": "motion"}),
    )
    assert [t for e, t in steps(found) if e == "raised"] == [31_000, 62_000]


def test_a_step_with_its_own_source_reads_that_alone():
    rule = """
- id: r
  from: plant/+
  key: device
  sequence:
    within: 1m
    steps: [{id: a, when: payload.x > 0}, {id: b, from: valves/+, when: payload.x > 0}]
"""
    engine, tape = engine_of(rule), Tape()
    found = []
    for arrival, topic in enumerate(("valves/m1", "plant/m1", "plant/m1", "valves/m1"), 1_000):
        found += engine.feed(tape.event({"x": 1}, topic=topic, arrival=arrival))
    assert steps(found) == [("raised", 1_003), ("cleared", 1_003)]
    assert found[0].since_ms == 1_001


BY_EVENT = "time: {by: event, field: payload.ts, out_of_order: 20ms}"


@pytest.mark.parametrize("seed", range(8))
def test_shuffled_within_the_bound_and_restored_at_any_time_it_finds_the_same(seed):
    rng = random.Random(seed)
    times = sorted(rng.sample(range(1_000, 1_400, 1), 40))
    events = [(time, rng.choice("aabbbcd")) for time in times]
    guard = Forbidden("d", 15)
    twin = twin_of(
        [A, b("relaxed", least=1, most=2, guards=(Forbidden("d"),))],
        events,
        within=60,
        last_guards=(guard,),
        skip=rng.choice(["none", "past_last"]),
    )
    rule = rule_of(twin, time=BY_EVENT)
    engine, tape, table, found = engine_of(rule), Tape(), {}, []
    order = sorted(range(len(events)), key=lambda no: events[no][0] + rng.uniform(0, 20))
    for no in order:
        payload = {"ts": events[no][0], "k": events[no][1], "no": no}
        found += engine.feed(tape.event(payload, arrival=1))
        if rng.random() < 0.3:
            save(engine, table)
            engine = engine_of(rule)
            assert engine.restore(sorted(table.items())) == []
    found += engine.feed(tape.event({"ts": 9_000, "k": "-"}, arrival=1))
    found += engine.feed(tape.event({"ts": 9_020, "k": "-"}, arrival=1))
    raised = [(o.time_ms, o.message) for o in found if o.event == "raised"]
    assert raised == [(time, tell(twin, chain)) for time, chain in twin.matches()]
    assert raised
    whole = engine_of(rule).feed(tape.batches)
    assert [encoded(one) for one in whole] == [encoded(one) for one in found]
    assert transitions(whole)
