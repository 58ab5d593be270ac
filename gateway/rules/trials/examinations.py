"""How one rule stands about one key, as plain values: for people, and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import msgpack

from gateway.rules.engine import Engine
from gateway.rules.instants import NEVER
from gateway.rules.lanes import Lane
from gateway.rules.outputs import spell_time
from gateway.rules.reasons import spell_duration
from gateway.rules.rule_sets import RuleSet
from gateway.rules.timelines import Timeline
from gateway.rules.tracks import Track
from gateway.rules.trials.explaining import parts_of
from gateway.rules.trials.observing import Journal, Look, needed_for, observe
from gateway.rules.trials.standings import PHASES, find_plan, find_track, states_at
from gateway.rules.values import UNKNOWN, Value


class Examination:
    """An engine that runs one rule, with a journal of what the rule says about one key."""

    def __init__(self, rules: RuleSet, rule: str, key: str) -> None:
        """Make it ready.

        Raises:
            KeyError: there is no such rule, or it rests.
        """
        part = needed_for(rules, rule)
        spec = next((one for one in part.rules if one.id == rule and one.enabled), None)
        if spec is None:
            raise KeyError(rule)
        for_ms = spec.condition.for_ms if spec.condition is not None else 0
        self.spec = spec
        self.key = key
        self.journal = Journal(key, for_ms)
        observed = observe(spec, self.journal)
        watched = tuple(observed if one is spec else one for one in part.rules)
        self.rules = replace(part, rules=watched)
        self.unwatched = part
        """The same rules as they are: what is watched may number alarms otherwise, once it has
        forgotten keys."""
        self.engine = Engine(self.rules.rules, self.rules.inventories)
        self.journal.cause_of = self.engine.lanes[0].outbox.cause

    def standing(self) -> dict[str, Any]:
        """How the rule stands about the key now."""
        found = find_track(self.engine, self.spec.id, self.key)
        plan = find_plan(self.engine, self.spec.id)
        described: dict[str, Any] = {
            "state": sorted(states_at(self.engine, self.spec.id, self.key)),
            "is_known": found is not None,
        }
        if plan is not None and found is not None:
            described |= _progress(plan[0], found[0])
            described |= _condition(found[1])
            described["window"] = _window(found[1])
        return described

    def expressions(self) -> list[dict[str, Any]]:
        """The last values of the rule's conditions, and of all their parts."""
        return [_described(look) for look in self.journal.last.values()]

    def near_misses(self) -> list[dict[str, Any]]:
        """The last times at which the rule almost raised."""
        return [
            {"time": spell_time(one.time_ms), **_place(one.cause._asdict()), "what": one.text}
            for one in self.journal.all_near_misses()
        ]


def _progress(lane: Lane, timeline: Timeline) -> dict[str, Any]:
    return {
        "watermark": spell_time(lane.watermark_of(timeline)),
        "newest_event": spell_time(timeline.newest_ms),
        "last_arrival": spell_time(timeline.arrival_ms),
        "held_events": len(timeline.held),
        "key_shares_time_with": [plan.spec.id for plan in lane.plans],
    }


def _condition(track: Track) -> dict[str, Any]:
    condition = track.condition
    phase = PHASES.get(condition.phase, "raised" if condition.is_active else "idle")
    return {
        "phase": phase,
        "n": condition.n,
        "since": spell_time(condition.since_ms) if phase != "idle" else None,
        "severity": condition.severity if condition.is_active else None,
        "next_timer": spell_time(track.due_ms) if track.due_ms < NEVER else None,
    }


def _window(track: Track) -> dict[str, Any] | None:
    spec, window = track.plan.spec.window, getattr(track, "window", None)
    if spec is None or window is None:
        return None
    contents = getattr(window, "contents", window)
    times = getattr(contents, "times", None)
    if times is not None:
        times = list(times)[getattr(contents, "head", 0) :]  # what lies before it has left
    described: dict[str, Any] = {
        "kind": spec.kind,
        "size": spec.count if spec.kind == "count" else spell_duration(spec.size_ms),
        "samples": len(times) if times is not None else None,
        "min_samples": spec.min_samples,
    }
    if times:
        described |= {"oldest": spell_time(times[0]), "newest": spell_time(times[-1])}
    return described


def _described(look: Look) -> dict[str, Any]:
    return {
        "role": look.role,
        "text": look.expression.text,
        "value": shown(look.value),
        "time": spell_time(look.time_ms),
        **_place(look.cause._asdict()),
        "parts": [
            {
                "depth": part.depth,
                "text": part.text,
                "value": shown(part.value),
                "is_unknown": part.value is UNKNOWN,
                "why": part.why,
            }
            for part in parts_of(look.expression, look.scope)
        ],
    }


def _place(cause: Mapping[str, object]) -> dict[str, object]:
    return {name: cause[name] for name in ("stream", "partition", "offset")}


def shown(value: Value) -> Value:
    """A value for JSON; what is unknown says so."""
    return "unknown" if value is UNKNOWN else value


def saved_hashes(engine_entry: bytes | None) -> dict[str, str]:
    """The hash of each rule whose state was saved, by its id."""
    if engine_entry is None:
        return {}
    _, _, rules = msgpack.decode(engine_entry)
    return {rule: fields[0] for rule, fields in rules.items()}


def stopped_rules(engine_entry: bytes | None) -> list[str]:
    """The rules that had failed and were stopped when the state was saved."""
    if engine_entry is None:
        return []
    _, _, rules = msgpack.decode(engine_entry)
    return [rule for rule, (_, _, is_stopped) in rules.items() if is_stopped]
