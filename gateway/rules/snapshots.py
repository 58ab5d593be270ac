"""The engine's state as entries of a keyed table, one for each key that has changed, and back.

Names of entries: `engine`; `counters`; `lane/<digest>/<key>`, a key's progress in time, shared by
the rules of a lane; `tide/<digest>/<partition>/<stream>`, how far a partition has come, for rules
on the time of partitions; `page/<id>/<number>/<key>`, samples of a window; `rule/<id>/<key>`, what
else one rule remembers of the key; `rank/<id>`, what a rule has yet to rank. Those names and the
layout of the values are stored: they change only with `VERSION`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

from msgspec import msgpack

from gateway.errors import PenstockError
from gateway.rules.desk import Desk
from gateway.rules.desk_snapshots import ALARM, DESK, DeskRestoration
from gateway.rules.device_facts import FACT
from gateway.rules.lanes import Lane
from gateway.rules.lookups import Version
from gateway.rules.pages import Pages
from gateway.rules.partition_lanes import (
    moved_tides,
    reach_of,
    restore_reach,
    restore_tide,
    settle_tides,
)
from gateway.rules.payloads import decode_payload
from gateway.rules.tallies import COUNTERS, restore_counters
from gateway.rules.timelines import Timeline
from gateway.rules.tracks import NO_PAGES, Track

VERSION = 1
ENGINE = "engine"
LANE = "lane"
TIDE = "tide"
RANK = "rank"
PAGE = "page"
RULE = "rule"
LOOKUP = "lookup"

Entry = tuple[str, bytes | None]


class StateTooNew(PenstockError):
    """A newer program wrote the state of the rules."""


def snapshot_lanes(lanes: Sequence[Lane], clock_ms: int) -> Iterator[Entry]:
    """What has changed since the last snapshot."""
    for lane in lanes:
        yield from _snapshot_lane(lane)
        yield from _snapshot_tides(lane)
        yield from _snapshot_rankings(lane)
    rules = {
        plan.spec.id: [plan.spec.source_hash, plan.n_floor, plan.is_stopped]
        for lane in lanes
        for plan in lane.plans
    }
    yield ENGINE, msgpack.encode([VERSION, clock_ms, rules])


def snapshot_lookups(versions: Iterable[Version]) -> Iterator[Entry]:
    """What look-ups hold; only of those that have changed."""
    for one in versions:
        value = msgpack.encode([VERSION, one.version, one.rows])
        yield f"{LOOKUP}/{one.lookup}", value


class Restoration:
    """Fills lanes from the entries that snapshots have left.

    The entries come in the order of their names: a key's progress and pages before its tracks.
    """

    def __init__(self, lanes: Sequence[Lane], desk: Desk) -> None:
        self.clock_ms = 0
        self._lanes = {digest_of(lane): lane for lane in lanes}
        self._counted = (lanes, desk)
        self._plans = {plan.spec.id: (lane, plan) for lane in lanes for plan in lane.plans}
        self._pages: dict[tuple[str, str], dict[int, list[Any]]] = {}
        self._stale: list[str] = []
        self._desk = DeskRestoration(desk)
        self.facts: dict[str, list[Any]] = {}
        """What is known of devices."""
        self.versions: dict[str, Version] = {}
        """What the look-ups held."""

    def take(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Take over the next entries.

        Raises:
            StateTooNew: a newer program wrote an entry.
        """
        for name, value in entries:
            fields = msgpack.decode(value)
            kind, _, rest = name.partition("/")
            owner, _, text = rest.partition("/")
            if kind == PAGE:
                page_no, _, text = text.partition("/")
                self._pages.setdefault((owner, text), {})[int(page_no)] = fields
            elif fields[0] > VERSION:
                raise StateTooNew(
                    f"the rules' state '{name}' has format {fields[0]}, this program reads "
                    f"{VERSION}; run the newer program again"
                )
            elif kind == ENGINE:
                self._take_engine(*fields[1:])
            elif kind == COUNTERS:
                restore_counters(*self._counted, fields[1])
            elif kind == LANE:
                self._take_timeline(name, owner, text, fields[1:])
            elif kind in (ALARM, DESK):
                self._desk.take(kind, owner, text, fields[1:])
            else:
                self._take_state(name, kind, rest, fields[1:])

    def _take_state(self, name: str, kind: str, rest: str, fields: list[Any]) -> None:
        if kind == FACT:
            self.facts[name] = fields
            return
        if kind == LOOKUP:
            self.versions[rest] = Version(rest, *fields)
            return
        owner, _, text = rest.partition("/")
        if kind == RULE and owner in self._plans:
            self._take_track(owner, text, fields)
        elif kind == TIDE:
            self._take_tide(name, owner, text, fields[0])
        elif kind == RANK:
            self._take_ranking(name, owner, *fields)

    def finish(self) -> list[str]:
        """The names of entries that nobody needs any more."""
        for (rule, text), pages in self._pages.items():
            self._stale += [page_name(rule, page_no, text) for page_no in pages]
        self._pages.clear()
        for lane in self._lanes.values():
            settle_tides(lane)
        plans = [plan for _, plan in self._plans.values()]
        self._desk.finish({plan.spec.id for plan in plans if plan.is_stopped})
        return self._stale

    def _take_engine(self, clock_ms: int, rules: dict[str, list[Any]]) -> None:
        self.clock_ms = clock_ms
        for rule_id, (source_hash, n_floor, is_stopped) in rules.items():
            if rule_id in self._plans:
                lane, plan = self._plans[rule_id]
                plan.n_floor = n_floor
                # A rule that was stopped for an error may try again once it has changed.
                if is_stopped and plan.spec.source_hash == source_hash:
                    lane.stop(plan)

    def _take_timeline(self, name: str, digest: str, text: str, fields: list[Any]) -> None:
        lane = self._lanes.get(digest)
        if lane is None:
            self._stale.append(name)
            return
        key, (watermark_ms, newest_ms, arrival_ms), held, *reach = fields
        timeline = lane.roster.add(key, text, arrival_ms)
        timeline.watermark_ms, timeline.newest_ms = watermark_ms, newest_ms
        timeline.held = [
            (event[0], number, (*event, decode_payload(event[-1])))
            for number, event in enumerate(held)
        ]
        timeline.held_no = len(held)
        restore_reach(lane, timeline, *(reach or [()]))
        lane.wakes.queue(timeline)

    def _take_ranking(self, name: str, rule: str, source_hash: str, packed: list[Any]) -> None:
        plan = self._plans[rule][1] if rule in self._plans else None
        if plan is None or plan.ranking is None or plan.spec.source_hash != source_hash:
            self._stale.append(name)
        else:
            plan.ranking.unpack(packed)

    def _take_tide(self, name: str, digest: str, text: str, progress: list[int]) -> None:
        lane = self._lanes.get(digest)
        if lane is None:
            self._stale.append(name)
            return
        number, _, stream = text.partition("/")
        restore_tide(lane, (stream, int(number)), progress)

    def _take_track(self, rule: str, text: str, fields: list[Any]) -> None:
        lane, plan = self._plans[rule]
        key, packed, ends, next_no = fields
        timeline = lane.timelines.get(text) or lane.roster.add(key, text, 0)
        track = lane.begin(timeline, plan)
        if track.pages is not NO_PAGES:
            track.pages = Pages(ends, next_no)
        if track.unpack(packed, self._pages.get((rule, text), {})):
            self._pages.pop((rule, text), None)
        elif track.pages is not NO_PAGES:
            # Its pages are stale; new ones must not take their numbers before they are deleted.
            track.pages = Pages(next_no=next_no)
        timeline.due_ms = timeline.earliest_due()
        lane.wakes.queue(timeline)


def digest_of(lane: Lane) -> str:
    """A short name for what the rules of the lane share."""
    return blake2b(lane.name.encode(), digest_size=8).hexdigest()


def page_name(rule: str, page_no: int, text: str) -> str:
    """The name of a page; pages that are written together lie together in the table."""
    return f"{PAGE}/{rule}/{page_no:010}/{text}"


def _snapshot_lane(lane: Lane) -> Iterator[Entry]:
    digest = digest_of(lane)
    for timeline in lane.roster.forgotten:
        yield f"{LANE}/{digest}/{timeline.text}", None
        for track in timeline.tracks:
            if track is not None:
                yield from _forget_track(track)
    lane.roster.forgotten.clear()
    yield from ((page_name(*page), None) for page in lane.stale_pages)
    lane.stale_pages.clear()
    for timeline in lane.dirty:
        timeline.is_dirty = False
        if lane.timelines.get(timeline.text) is not timeline:
            continue  # it was forgotten since
        yield f"{LANE}/{digest}/{timeline.text}", _pack_timeline(lane, timeline)
        for track in timeline.tracks:
            if track is not None and track.is_dirty:
                track.is_dirty = False
                yield from _snapshot_track(track)
    lane.dirty.clear()


def _snapshot_tides(lane: Lane) -> Iterator[Entry]:
    for tide in moved_tides(lane):
        stream, number = tide.name
        progress = [tide.newest_ms, tide.arrival_ms, tide.watermark_ms]
        yield f"{TIDE}/{digest_of(lane)}/{number}/{stream}", msgpack.encode([VERSION, progress])


def _snapshot_rankings(lane: Lane) -> Iterator[Entry]:
    for plan in lane.plans:
        if plan.ranking is not None and plan.ranking.is_dirty:
            plan.ranking.is_dirty = False
            fields = [VERSION, plan.spec.source_hash, plan.ranking.pack()]
            yield f"{RANK}/{plan.spec.id}", msgpack.encode(fields)


def _snapshot_track(track: Track) -> Iterator[Entry]:
    rule, text, pages = track.plan.spec.id, track.text, track.pages
    if track.is_blank:
        yield f"{RULE}/{rule}/{text}", None
        return
    packed, samples = track.pack()
    if samples is not None:
        for page_no, page in pages.update(samples):
            yield page_name(rule, page_no, text), page
    value = msgpack.encode([VERSION, track.key, packed, pages.ends, pages.next_no])
    yield f"{RULE}/{rule}/{text}", value


def _forget_track(track: Track) -> Iterator[Entry]:
    rule, text = track.plan.spec.id, track.text
    yield f"{RULE}/{rule}/{text}", None
    for page_no, _ in track.pages.ends:
        yield page_name(rule, page_no, text), None


def _pack_timeline(lane: Lane, timeline: Timeline) -> bytes:
    held = [event[:-1] for _, _, event in sorted(timeline.held, key=lambda item: item[:2])]
    progress = [timeline.watermark_ms, timeline.newest_ms, timeline.arrival_ms]
    reach = reach_of(lane, timeline)
    return msgpack.encode([VERSION, timeline.key, progress, held, *([reach] if reach else [])])
