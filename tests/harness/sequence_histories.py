"""Made-up sequences and histories for them."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from hypothesis import strategies as st

from tests.harness.sequence_twin import Forbidden, Wanted

LETTERS = st.text("abc", min_size=1, max_size=2)
SPANS = st.sampled_from([10, 20, 35])


@st.composite
def wanted(draw, guards=()):
    kind = draw(st.sampled_from(["one", "one", "many", "group"]))
    contiguity = draw(st.sampled_from(["relaxed", "relaxed", "strict", "any"]))
    shared = {
        "contiguity": contiguity,
        "is_skippable": draw(st.booleans()) and draw(st.booleans()),
        "within": draw(st.sampled_from([inf, inf, 15])),
        "guards": guards,
    }
    if kind == "group":
        parts = tuple(draw(st.lists(LETTERS, min_size=2, max_size=2)))
        return Wanted(parts, least=2, most=2, **shared)
    until = draw(st.sampled_from(["", "", "c", "d"]))
    if kind == "many":
        least = draw(st.integers(1, 2))
        most = draw(st.sampled_from([3, inf]))
        return Wanted((draw(LETTERS),), least=least, most=most, until=until, **shared)
    return Wanted((draw(LETTERS),), **shared)


@st.composite
def forbidden(draw, *, is_timed=False):
    within = draw(SPANS) if is_timed else draw(st.sampled_from([None, None, 10]))
    return Forbidden(draw(st.text("bd", min_size=1, max_size=1)), within, draw(st.booleans()))


@st.composite
def sequences(draw):
    steps = []
    for place in range(draw(st.integers(2, 3))):
        guards = ()
        if draw(st.integers(0, 3)) == 0:
            guard = draw(forbidden(is_timed=place == 0))
            guards = (Forbidden(guard.letters, guard.within) if place == 0 else guard,)
        steps.append(draw(wanted(guards=guards)))
    last_guards = ()
    if draw(st.integers(0, 2)) == 0:
        last_guards = (draw(forbidden(is_timed=True)),)
    if any(step.guards for step in steps[1:]):
        # A `not` needs a step behind it that must come.
        steps[-1] = replace(steps[-1], is_skippable=False)
    if all(step.is_skippable for step in steps):
        steps[0] = Wanted(steps[0].parts[:1], guards=steps[0].guards)
    return steps, {
        "within": draw(st.sampled_from([25, 60])),
        "skip": draw(st.sampled_from(["none", "to_next", "past_last"])),
        "last_guards": last_guards,
    }


@st.composite
def histories(draw, letters="abcd", size=9):
    gaps = draw(st.lists(st.sampled_from([0, 1, 5, 10, 12]), min_size=1, max_size=size))
    time, events = 1_000, []
    for gap in gaps:
        time += gap
        events.append((time, draw(st.sampled_from(letters))))
    return events
