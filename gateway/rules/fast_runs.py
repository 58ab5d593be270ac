"""The hot path: the events of one run along one lane, without a call for each where none is needed.

It does what `Lane.accept` does for one event after the other, and is tested against it. It is for
lanes whose rules read nothing but the payload, keyed by device, and that sort nothing; `is_fast`
says which. Most events end in one of two ways: no plain rule sees anything new, or the tracks of
the rules with windows and patterns take the event in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from gateway.events import Origin, Run
from gateway.rules.instants import NEVER
from gateway.rules.values import UNKNOWN, Value

if TYPE_CHECKING:
    from gateway.rules.lanes import Lane

# What a mistake of ours can raise. A rule that meets one is stopped, the others go on.
FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)


def take_run(  # noqa: C901, PLR0912, PLR0915 - the hot path, where each call counts
    lane: Lane, run: Run, start: int, offset: int, by_topic: Mapping[str, Lane]
) -> int:
    """Show the events of a run to the lane, from index `start` on, which has the offset `offset`.

    Returns the index of the first that it has left: one of a topic that others read as well, or
    the one after that at which a rule was stopped.
    """
    origins, payloads = (run.origins, run.payloads) if not start else after(run, start)
    arrival_ms = run.arrival_ms
    outbox, scope, fused, loads = lane.outbox, lane.scope, lane.fused, orjson.loads
    timeline_of, ttl_ms, trail_ms, walks = (
        lane.timelines.get,
        lane.ttl_ms,
        lane.trail_ms,
        lane.walks,
    )
    plain_place, has_plain, has_stepped = lane.plain_place, bool(lane.plain), bool(lane.stepped)
    is_by_arrival = lane.is_by_arrival
    low_ms, high_ms = lane.time.bounds(arrival_ms)
    time_ms: int | None
    stop = offset
    for (topic, device), raw in zip(origins, payloads, strict=True):
        if by_topic.get(topic) is not lane:
            break
        outbox.offset = stop
        stop += 1
        try:
            payload: Value = loads(raw)
        except ValueError:
            payload = UNKNOWN
        scope["payload"] = payload
        timeline = timeline_of(device)
        if timeline is None or arrival_ms - timeline.arrival_ms > ttl_ms:
            timeline = lane.find(device, arrival_ms)
            if timeline is None:
                continue
        timeline.arrival_ms = arrival_ms
        if not timeline.is_dirty:
            lane.mark(timeline)
        try:
            values = fused(scope)
        except FAULTS:
            lane.accepted -= 1  # counted there, and here
            lane.accept(payload, raw, topic, device, arrival_ms)
            break
        if is_by_arrival:
            # Partitions are read in turn: an arrival may lie a little before one that was read.
            time_ms = max(arrival_ms, timeline.watermark_ms)
        else:
            time_ms = values[0]
            if type(time_ms) is not int or not (
                timeline.watermark_ms <= time_ms and low_ms <= time_ms <= high_ms
            ):
                event = (time_ms, arrival_ms, topic, device, raw, payload)
                time_ms = lane.time_of(timeline, event)
        if time_ms is not None:
            if time_ms > timeline.newest_ms:
                timeline.newest_ms = timeline.watermark_ms = time_ms
            if time_ms >= timeline.due_ms:
                lane.fire_until(timeline, time_ms)
            if has_plain and not (timeline.is_settled and values[plain_place] == timeline.values):
                event = (time_ms, arrival_ms, topic, device, raw, payload)
                lane.take_plain(timeline, event, values)
            if has_stepped:
                event = (time_ms, arrival_ms, topic, device, raw, payload)
                lane.take_stepped(timeline, event, values)
            # Otherwise it is queued already, no later than silence can matter to it.
            if timeline.due_ms < NEVER and (
                walks or timeline.due_ms + trail_ms < timeline.queued_ms
            ):
                lane.wakes.queue(timeline)
        if lane.fused is not fused:
            break
    lane.accepted += stop - offset
    return start + stop - offset


def after(run: Run, start: int) -> tuple[Sequence[Origin], Sequence[bytes]]:
    """The origins and payloads of a run from an index on."""
    return run.origins[start:], run.payloads[start:]
