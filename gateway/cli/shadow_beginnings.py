"""Where rules in shadow begin: beside the running rules, with their state, or at a chosen place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.cli.replay import OWN_STREAMS, Key, Wish, find_stretch
from gateway.cli.rule_questions import MARK, TABLE, read_checkpoint
from gateway.errors import PenstockError
from gateway.pipeline import read_version
from gateway.rules import ALERTS_STREAM, LOOKUPS_STREAM, TWINS_STREAM, Engine, RuleSet, Step
from gateway.store import Place, StreamReader, offsets_at

STREAMS_WITHOUT_RULES = ("telemetry",)
WRITTEN_BEFORE = (LOOKUPS_STREAM, TWINS_STREAM)
"""Of these the whole is read: what holds was written down perhaps long before."""


class LookupUnreadable(PenstockError):
    """A file that the rules look things up in can't be read."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """From where the log is followed.

    `positions` are what is read. An alert counts if the record behind it lies at its `floors` or
    later; they name more partitions, as rules in shadow don't read what other rules emit.
    """

    positions: Mapping[Key, int]
    floors: Mapping[Key, int]
    entries: Sequence[tuple[str, bytes]] = ()

    @property
    def basis(self) -> str:
        """What it begins with, for people."""
        return "the state of the running rules" if self.entries else "nothing remembered"

    def holds(self, stream: str, partition: int, offset: int) -> bool:
        """Whether a record is one that both sets have seen."""
        return offset >= self.floors.get((stream, partition), 0)


async def find_beginning(
    reader: StreamReader, streams: Sequence[str], start: Place | None
) -> Beginning:
    """Where to begin; without `start` where the running rules were last saved.

    Without `streams`, those that the running rules read.

    Raises:
        UnknownStream: there is no such stream.
    """
    offsets, entries = await read_checkpoint(reader)
    known = sorted({stream for stream, _ in offsets} - set(OWN_STREAMS))
    own = tuple(streams or known or STREAMS_WITHOUT_RULES)
    if start is None and offsets:
        return await _at_checkpoint(reader, own, offsets, entries)
    # Where the rules have spoken, and were never saved, they have read the log from its beginning.
    is_unsaved = await reader.entry(TABLE, MARK) is not None
    place = start or Place("earliest" if is_unsaved else "latest")
    stretch = await find_stretch(reader, Wish(own, place, Place("latest")))
    others = [key for key in offsets if key not in stretch.starts]
    floors = {**await offsets_at(reader, others, place), **stretch.starts}
    alerts = await _alerts_at(reader, Place("earliest") if place.kind == "offset" else place)
    return Beginning({**stretch.starts, **alerts}, floors)


async def _at_checkpoint(
    reader: StreamReader,
    streams: tuple[str, ...],
    offsets: Mapping[Key, int],
    entries: Sequence[tuple[str, bytes]],
) -> Beginning:
    stretch = await find_stretch(reader, Wish(streams, Place("earliest"), Place("latest")))
    read = {stream for stream, _ in offsets}
    positions = {}
    for key, log_start_offset in stretch.starts.items():
        # A partition that was empty then is read whole; a stream nobody read, from here on.
        offset = offsets.get(key, 0) if key[0] in read else stretch.stops[key]
        is_lookup = key[0] in WRITTEN_BEFORE
        positions[key] = log_start_offset if is_lookup else max(log_start_offset, offset)
    since = [
        (await reader.unread(*key, offset)).first_ms
        for key, offset in positions.items()
        if key[0] not in WRITTEN_BEFORE
    ]
    first_ms = min((ms for ms in since if ms is not None), default=None)
    place = Place("latest") if first_ms is None else Place("time", first_ms)
    alerts = await _alerts_at(reader, place)
    return Beginning({**positions, **alerts}, {**offsets, **positions}, entries)


async def _alerts_at(reader: StreamReader, place: Place) -> dict[Key, int]:
    partitions = {spec.name: spec.partitions for spec in await reader.streams()}
    keys = [(ALERTS_STREAM, number) for number in range(partitions.get(ALERTS_STREAM, 0))]
    return await offsets_at(reader, keys, place)


def resume(engine: Engine, rules: RuleSet, beginning: Beginning) -> list[Step]:
    """Let an engine begin there; returns the alarms that are up already, as their raises.

    Rules that mean the same as the running ones go on with their state; those that mean something
    else keep their alarms and begin their windows anew, as they would when swapped in.

    Raises:
        LookupUnreadable: what the rules look up can't be read.
    """
    if beginning.entries:
        engine.restore(beginning.entries)
    for name, lookup in rules.lookups_used.items():
        if name not in engine.versions:
            try:
                engine.look_up(read_version(lookup))
            except (OSError, ValueError) as error:
                raise LookupUnreadable(f"look-up '{name}' can't be read: {error}") from error
    return [
        Step(rule, key, "raised", alarm.since_ms, alarm.severity, alarm.message)
        for rule, own in engine.desk.rules.items()
        for key, alarm in own.alarms.items()
        if alarm.is_up
    ]
