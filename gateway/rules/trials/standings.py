"""How the alarms of a rule stand: in the words of their life, from the engine's own state."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.rules.conditions import Phase
from gateway.rules.engine import Engine
from gateway.rules.lanes import Lane
from gateway.rules.plans import RulePlan
from gateway.rules.timelines import Timeline
from gateway.rules.tracks import Track

PHASES = {Phase.PENDING: "pending", Phase.COUNTED: "pending", Phase.CLEARING: "clearing"}
IDLE = frozenset({"idle"})


def find_plan(engine: Engine, rule: str) -> tuple[Lane, RulePlan] | None:
    """A rule of the engine, with the lane that it runs in; None when it isn't there or rests."""
    for lane in engine.lanes:
        for plan in lane.plans:
            if plan.spec.id == rule:
                return lane, plan
    return None


def tracks_of(engine: Engine, rule: str) -> Iterator[tuple[Timeline, Track]]:
    """What a rule remembers, key by key."""
    found = find_plan(engine, rule)
    if found is None:
        return
    lane, plan = found
    for timeline in lane.timelines.values():
        track = timeline.tracks[plan.index]
        if track is not None:
            yield timeline, track


def find_track(engine: Engine, rule: str, key: str) -> tuple[Timeline, Track] | None:
    """What a rule remembers of one key."""
    found = find_plan(engine, rule)
    timeline = found[0].timelines.get(key) if found is not None else None
    if found is None or timeline is None:
        return None
    track = timeline.tracks[found[1].index]
    return None if track is None else (timeline, track)


def states_at(engine: Engine, rule: str, key: object = None) -> frozenset[str]:
    """Every word that is true of how a rule stands, for one key or for any of them.

    A raised alarm that is about to clear is both raised and clearing. Where nothing else is true,
    it is idle.
    """
    words: set[str] = set()
    alarms = engine.desk.rules[rule].alarms if rule in engine.desk.rules else {}
    for text, alarm in alarms.items():
        if key is None or text == key:
            words.add(alarm.state)
    for _, track in tracks_of(engine, rule):
        if key is None or track.text == key:
            words.add(PHASES.get(track.condition.phase, "idle"))
    return frozenset(words - IDLE) or IDLE
