"""The engine's state as entries of a keyed table, one for each key that has changed, and back.

Names of entries: `engine`; `lane/<digest>/<key>`, a key's progress in time, shared by the rules of
a lane; `rule/<id>/<key>`, what one rule remembers of it. Those names and the layout of the values
are stored: they change only with `VERSION`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from msgspec import msgpack

from gateway.errors import PenstockError
from gateway.rules.lanes import Lane
from gateway.rules.payloads import decode_payload
from gateway.rules.plans import RulePlan
from gateway.rules.timelines import Timeline
from gateway.rules.tracks import Track

VERSION = 1
ENGINE_ENTRY = "engine"
LANE_PREFIX = "lane/"
RULE_PREFIX = "rule/"

Entry = tuple[str, bytes | None]


class StateTooNew(PenstockError):
    """A newer program wrote the state of the rules."""


def snapshot_lanes(lanes: Sequence[Lane], clock_ms: int) -> Iterator[Entry]:
    """What has changed since the last snapshot."""
    for lane in lanes:
        yield from _snapshot_lane(lane)
    rules = {
        plan.spec.id: [plan.spec.source_hash, plan.n_floor, plan.is_stopped]
        for lane in lanes
        for plan in lane.plans
    }
    yield ENGINE_ENTRY, msgpack.encode([VERSION, clock_ms, rules])


def restore_lanes(
    lanes: Sequence[Lane], entries: Sequence[tuple[str, bytes]]
) -> tuple[int, list[str]]:
    """Fill the lanes from entries in the order of their names.

    Returns the clock, or 0, and the names of entries that nobody needs any more.

    Raises:
        StateTooNew: a newer program wrote an entry.
    """
    clock_ms, stale = 0, []
    lanes_by_digest = {digest_of(lane): lane for lane in lanes}
    plans_by_id = {plan.spec.id: (lane, plan) for lane in lanes for plan in lane.plans}
    # The names sort so that a timeline comes before the tracks along it.
    touched: dict[Timeline, Lane] = {}
    for name, value in entries:
        fields = _decode(name, value)
        owner, _, text = name.partition("/")[2].partition("/")
        if name == ENGINE_ENTRY:
            clock_ms = fields[0]
            _restore_rules(plans_by_id, fields[1])
        elif name.startswith(LANE_PREFIX) and owner in lanes_by_digest:
            lane = lanes_by_digest[owner]
            touched[_restore_timeline(lane, text, fields)] = lane
        elif name.startswith(RULE_PREFIX) and owner in plans_by_id:
            lane, plan = plans_by_id[owner]
            touched[_restore_track(lane, plan, text, fields)] = lane
        elif name.startswith(LANE_PREFIX):
            stale.append(name)
    for timeline, lane in touched.items():
        timeline.due_ms = timeline.next_timer()[0][0]
        lane.wakes.queue(timeline)
    return clock_ms, stale


def digest_of(lane: Lane) -> str:
    """A short name for what the rules of the lane share."""
    return blake2b(lane.name.encode(), digest_size=8).hexdigest()


def _snapshot_lane(lane: Lane) -> Iterator[Entry]:
    digest = digest_of(lane)
    for text in lane.roster.forgotten:
        yield f"{LANE_PREFIX}{digest}/{text}", None
        for plan in lane.plans:
            yield f"{RULE_PREFIX}{plan.spec.id}/{text}", None
    lane.roster.forgotten.clear()
    for timeline in lane.dirty:
        timeline.is_dirty = False
        if lane.timelines.get(timeline.text) is not timeline:
            continue  # it was forgotten since
        yield f"{LANE_PREFIX}{digest}/{timeline.text}", _pack_timeline(timeline)
        for track in timeline.tracks:
            if track is not None and track.is_dirty:
                track.is_dirty = False
                name = f"{RULE_PREFIX}{track.plan.spec.id}/{timeline.text}"
                yield name, None if track.is_blank else _pack_track(track)
    lane.dirty.clear()


def _pack_timeline(timeline: Timeline) -> bytes:
    held = [event[:-1] for _, _, event in sorted(timeline.held, key=lambda item: item[:2])]
    progress = [timeline.watermark_ms, timeline.newest_ms, timeline.arrival_ms]
    return msgpack.encode([VERSION, timeline.key, progress, held])


def _pack_track(track: Track) -> bytes:
    return msgpack.encode([VERSION, track.key, track.pack()])


def _decode(name: str, value: bytes) -> list[Any]:
    fields: list[Any] = msgpack.decode(value)
    if fields[0] > VERSION:
        raise StateTooNew(
            f"the rules' state '{name}' has format {fields[0]}, this program reads {VERSION}; "
            "run the newer program again"
        )
    return fields[1:]


def _restore_rules(
    plans_by_id: dict[str, tuple[Lane, RulePlan]], rules: dict[str, list[Any]]
) -> None:
    for rule_id, (source_hash, n_floor, is_stopped) in rules.items():
        if rule_id in plans_by_id:
            lane, plan = plans_by_id[rule_id]
            plan.n_floor = n_floor
            # A rule that was stopped for an error may try again once it has changed.
            if is_stopped and plan.spec.source_hash == source_hash:
                lane.stop(plan)


def _restore_timeline(lane: Lane, text: str, fields: list[Any]) -> Timeline:
    key, (watermark_ms, newest_ms, arrival_ms), held = fields
    timeline = lane.roster.add(key, text, arrival_ms)
    timeline.watermark_ms, timeline.newest_ms = watermark_ms, newest_ms
    timeline.held = [
        (event[0], number, (*event, decode_payload(event[-1]))) for number, event in enumerate(held)
    ]
    timeline.held_no = len(held)
    return timeline


def _restore_track(lane: Lane, plan: RulePlan, text: str, fields: list[Any]) -> Timeline:
    key, packed = fields
    timeline = lane.timelines.get(text) or lane.roster.add(key, text, 0)
    track = Track(plan, key, text)
    track.unpack(packed)
    timeline.tracks[plan.index] = track
    return timeline
