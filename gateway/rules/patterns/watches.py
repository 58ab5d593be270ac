"""Keys that are watched for their silence: those of an inventory, and all of them after a start."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.rules.lanes import Lane
from gateway.rules.patterns.absence_tracks import AbsenceTrack
from gateway.rules.patterns.absences import AbsencePlan
from gateway.rules.timelines import Timeline
from gateway.rules.values import UNKNOWN


def expect(lane: Lane, keys: Iterable[str], now_ms: int) -> None:
    """Watch these keys, seen or not, and no others; where they are new, from `now_ms` on."""
    wanted = dict.fromkeys(keys)
    lane.expected = wanted
    for timeline in [one for text, one in lane.timelines.items() if text not in wanted]:
        for track in timeline.tracks:
            if isinstance(track, AbsenceTrack):
                track.dismiss(now_ms, lane.outbox)
        lane.roster.let_go(timeline)
    for text in wanted:
        known = lane.timelines.get(text)
        timeline = known or lane.roster.add(text, text, now_ms)
        timeline.is_expected = True
        if known is None:
            timeline.watermark_ms = timeline.newest_ms = now_ms
        _watch(lane, timeline, now_ms, is_start=False)


def resume(lane: Lane, keys: Iterable[str]) -> None:
    """Go on expecting the keys that were expected before a restart."""
    lane.expected = dict.fromkeys(keys)
    for text, timeline in lane.timelines.items():
        timeline.is_expected = text in lane.expected


def begin_again(lane: Lane, now_ms: int) -> None:
    """Grant every key the rules' grace: the gateway has started, and it may have been unheard."""
    if any(isinstance(plan.pattern, AbsencePlan) and plan.pattern.grace_ms for plan in lane.plans):
        for timeline in lane.timelines.values():
            _watch(lane, timeline, now_ms, is_start=True)


def _watch(lane: Lane, timeline: Timeline, now_ms: int, *, is_start: bool) -> None:
    """Count silence along the timeline from the end of the grace, for the rules that don't yet."""
    scope = {**lane.scope, "key": timeline.key, "ts": now_ms, "payload": UNKNOWN}
    for plan in lane.plans:
        if plan.is_stopped or not isinstance(plan.pattern, AbsencePlan):
            continue
        track = timeline.tracks[plan.index]
        if is_start is (track is None):
            continue
        track = track or lane.begin(timeline, plan)
        if isinstance(track, AbsenceTrack):
            track.wait(now_ms + plan.pattern.grace_ms, scope)
            track.is_dirty = True
            lane.mark(timeline)
    timeline.due_ms = timeline.earliest_due()
    lane.wakes.queue(timeline)
