"""The counters of all rules: gathered from where they are counted, and kept with the state.

They are the entry `counters` of the rules' table: by rule id, and by the name of the counter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import msgpack

from gateway.rules.counters import RuleCounters
from gateway.rules.desk import Desk
from gateway.rules.lanes import Lane

VERSION = 1
COUNTERS = "counters"
FAULT_TIMES = "fault_times"


def tally(lanes: Sequence[Lane], desk: Desk) -> dict[str, RuleCounters]:
    """What each rule has met so far, by rule id."""
    for lane in lanes:
        accepted, lane.accepted = lane.accepted, 0
        for plan in lane.plans:
            counters, alarms = plan.counters, desk.rules[plan.spec.id]
            counters.evaluated += accepted
            counters.raised, counters.suppressed = alarms.raised, alarms.suppressed
            if plan.window is not None:
                counters.cut_samples = plan.window.cut_samples
    return {plan.spec.id: plan.counters for lane in lanes for plan in lane.plans}


def snapshot_counters(lanes: Sequence[Lane], desk: Desk) -> Iterator[tuple[str, bytes]]:
    """The entry that holds them."""
    packed: dict[str, dict[str, Any]] = {
        rule: counters.pack() for rule, counters in tally(lanes, desk).items()
    }
    for lane in lanes:
        for plan in lane.plans:
            if plan.fault_limit.times:
                packed[plan.spec.id][FAULT_TIMES] = list(plan.fault_limit.times)
    yield COUNTERS, msgpack.encode([VERSION, packed])


def restore_counters(
    lanes: Sequence[Lane], desk: Desk, packed: Mapping[str, Mapping[str, Any]]
) -> None:
    """Count on from where the entry ends."""
    for lane in lanes:
        for plan in lane.plans:
            own = packed.get(plan.spec.id, {})
            counters, alarms = plan.counters, desk.rules[plan.spec.id]
            counters.unpack(own)
            alarms.raised, alarms.suppressed = counters.raised, counters.suppressed
            plan.fault_limit.times.extend(own.get(FAULT_TIMES, ()))
            if plan.window is not None:
                plan.window.cut_samples = counters.cut_samples


def saved_counters(entry: bytes | None) -> dict[str, dict[str, Any]]:
    """The counters of each rule when the state was saved, by its id."""
    if entry is None:
        return {}
    _, packed = msgpack.decode(entry)
    return {rule: _known(own) for rule, own in packed.items()}


def _known(own: Mapping[str, Any]) -> dict[str, Any]:
    counters = RuleCounters()
    counters.unpack(own)
    return counters.pack()
