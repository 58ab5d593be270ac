"""The hot path: the events of one run along one lane, without a call for each where none is needed.

It does what `Lane.accept` does for one event after the other, and is tested against it. It is for
lanes whose rules read nothing but the payload, keyed by device, and that sort nothing; `is_fast`
says which. Most events end in one of two ways: no plain rule sees anything new, or the tracks of
the rules with windows and patterns take the event in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson

from gateway.events import Run
from gateway.rules.instants import NEVER
from gateway.rules.values import UNKNOWN, Value
from gateway.rules.watermarks import TIME_MS_MAX

if TYPE_CHECKING:
    from gateway.rules.lanes import Lane

# What a mistake of ours can raise. A rule that meets one is stopped, the others go on.
FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)


def take_run(  # noqa: C901, PLR0912, PLR0915 - the hot path, where each call counts
    lane: Lane, run: Run, start: int, offset: int, by_topic: Mapping[str, Lane]
) -> int:
    """Show the events of a run to the lane, from index `start` on, which has the offset `offset`.

    Returns the index of the first that it has left: one of a topic that others read as well, or
    where a rule was stopped.
    """
    origins, payloads = run.origins, run.payloads
    if start:
        origins, payloads = origins[start:], payloads[start:]
    arrival_ms = run.arrival_ms
    outbox, scope, fused, loads = lane.outbox, lane.scope, lane.fused, orjson.loads
    timeline_of, ttl_ms = lane.timelines.get, lane.ttl_ms
    plain_place, has_plain, stepped = lane.plain_place, bool(lane.plain), lane.stepped
    is_by_arrival, is_single, walks = lane.is_by_arrival, lane.is_single, lane.walks
    trail_ms = lane.trail_ms
    low_ms = arrival_ms - lane.time.late_ms
    high_ms = min(arrival_ms + lane.time.early_ms, TIME_MS_MAX)
    index = start - 1
    for (topic, device), raw in zip(origins, payloads, strict=True):
        index += 1
        if by_topic.get(topic) is not lane:
            break
        try:
            payload: Value = loads(raw)
        except ValueError:
            payload = UNKNOWN
        scope["payload"] = payload
        timeline = timeline_of(device)
        if timeline is None or arrival_ms - timeline.arrival_ms > ttl_ms:
            outbox.offset = offset + index - start
            timeline = lane.find(device, arrival_ms)
            if timeline is None:
                continue
        timeline.arrival_ms = arrival_ms
        if not timeline.is_dirty:
            lane.mark(timeline)
        try:
            values = fused(scope)
        except FAULTS:
            outbox.offset = offset + index - start
            lane.accept(payload, raw, topic, device, arrival_ms)
            index += 1
            break
        if is_by_arrival:
            # Partitions are read in turn: an arrival may lie a little before one that was read.
            time_ms = max(arrival_ms, timeline.watermark_ms)
        else:
            time_ms = values[0]
            if (
                type(time_ms) is not int
                or not timeline.watermark_ms <= time_ms
                or not low_ms <= time_ms <= high_ms
            ):
                outbox.offset = offset + index - start
                event = (time_ms, arrival_ms, topic, device, raw, payload)
                judged_ms = lane.time_of(timeline, event)
                if judged_ms is None:
                    if lane.fused is not fused:
                        index += 1
                        break
                    continue
                time_ms = judged_ms
        if time_ms > timeline.newest_ms:
            timeline.newest_ms = timeline.watermark_ms = time_ms
        if time_ms >= timeline.due_ms:
            outbox.offset = offset + index - start
            lane.fire_until(timeline, time_ms)
        if has_plain and not (timeline.is_settled and values[plain_place] == timeline.values):
            outbox.offset = offset + index - start
            event = (time_ms, arrival_ms, topic, device, raw, payload)
            lane.take_plain(timeline, event, values)
        if stepped:
            outbox.offset = offset + index - start
            event = (time_ms, arrival_ms, topic, device, raw, payload)
            for plan in stepped:
                track = timeline.tracks[plan.index] or lane.begin(timeline, plan)
                try:
                    track.advance(event, values, scope, outbox)
                except FAULTS as fault:
                    track = lane.note_fault(timeline, plan, fault)
                track.is_dirty = True
                if track.due_ms < timeline.due_ms or is_single:
                    timeline.due_ms = track.due_ms
        # Otherwise it is queued already, no later than silence can matter to it.
        if timeline.due_ms < NEVER and (walks or timeline.due_ms + trail_ms < timeline.queued_ms):
            lane.wakes.queue(timeline)
        if lane.fused is not fused:
            index += 1
            break
    else:
        index += 1
    lane.accepted += index - start
    return index
