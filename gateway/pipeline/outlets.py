"""From what the rules give out to runs of records: their streams, partitions and properties."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.errors import MqttError, StreamInvalid, StreamMismatch
from gateway.events import Flag, Origin, Run
from gateway.pipeline.sheets import QOS_FLAGS, Sheet, id_properties
from gateway.rules import (
    ALARMS_STREAM,
    RULES_CLIENT,
    Derived,
    Output,
    Publication,
    SideEvent,
    Transition,
)
from gateway.store import ConsumerStore, Put, StreamSpec

ALARMS_TABLE = "alarms"
"""The table of alarms that stand, for who wants to see them all."""

Slot = tuple[str, int, int]
"""Stream, partition and arrival time of a run."""

Route = Callable[[str], tuple[str, int, Origin]]


class Outlets:
    """Sorts outputs into one run for each partition that they go to, each in its own order."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._open_streams: set[str] = set()
        self.unrouted_count = 0
        """Outputs for which there is no stream."""

    async def open_for(self, outputs: Iterable[Output], store: ConsumerStore) -> list[Output]:
        """See that the side streams of the outputs exist; returns those outputs that have a place.

        A side stream is made when its first event comes: most rules never need one.
        """
        placed = []
        for output in outputs:
            if isinstance(output, SideEvent) and output.stream not in self._open_streams:
                try:
                    await store.ensure(StreamSpec(output.stream, partitions=1))
                except (StreamInvalid, StreamMismatch):
                    self.unrouted_count += 1
                    continue
                self._open_streams.add(output.stream)
            placed.append(output)
        has_alarms = any(isinstance(output, Transition) for output in placed)
        if has_alarms and ALARMS_STREAM not in self._open_streams:
            await store.ensure(StreamSpec(ALARMS_STREAM, partitions=1))
            self._open_streams.add(ALARMS_STREAM)
        return placed

    def runs_of(self, outputs: Iterable[Output], arrival_ms: int) -> list[Run]:
        """Runs that carry the outputs; one whose topic no stream takes is counted, no more.

        A derived record arrives when its cause did, so that it is the same whenever it is written.
        """
        sheets_by_slot: dict[Slot, list[Sheet]] = {}
        for output in outputs:
            placed = self._place(output)
            if placed is None:
                self.unrouted_count += 1
                continue
            (stream, partition), sheet = placed
            own_ms = output.detected_ms if isinstance(output, Derived) else arrival_ms
            slot = stream, partition, own_ms
            sheets_by_slot.setdefault(slot, []).append(sheet)
            if isinstance(output, Transition) and is_shown(output):
                slot = ALARMS_STREAM, 0, arrival_ms
                sheets_by_slot.setdefault(slot, []).append(_standing_sheet(output))
        return [
            Run(
                stream,
                partition,
                RULES_CLIENT,
                slot_arrival_ms,
                [sheet.origin for sheet in sheets],
                [sheet.payload for sheet in sheets],
                bytes(sheet.flags for sheet in sheets),
                [sheet.properties for sheet in sheets],
            )
            for (stream, partition, slot_arrival_ms), sheets in sheets_by_slot.items()
        ]

    def _place(self, output: Output) -> tuple[tuple[str, int], Sheet] | None:
        if isinstance(output, SideEvent):
            origin = Origin(output.topic, output.device)
            return (output.stream, 0), Sheet(origin, output.payload, 0, b"")
        if isinstance(output, Derived):
            origin = Origin(output.topic, output.device)
            properties = id_properties(output.id)
            return (output.stream, 0), Sheet(origin, output.payload, Flag.QOS_1, properties)
        try:
            stream, partition, origin = self._route(output.topic)
        except MqttError:
            return None
        return (stream, partition), _sheet_of(output, origin)


def is_shown(transition: Transition) -> bool:
    """Whether the topic that holds how the alarm stands changes with it."""
    return transition.state == "idle" or transition.suppressed != "active_max"


def standing_puts(outputs: Iterable[Output]) -> list[Put]:
    """The changes of the table of alarms that stand, by their topics."""
    return [
        Put(ALARMS_TABLE, output.standing_topic, _standing_of(output) or None)
        for output in outputs
        if isinstance(output, Transition) and is_shown(output)
    ]


def _standing_of(transition: Transition) -> bytes:
    return b"" if transition.state == "idle" else transition.encode()


def _standing_sheet(transition: Transition) -> Sheet:
    """How the alarm stands now, as a retained message; an empty one when nobody need know."""
    origin = Origin(transition.standing_topic, transition.rule)
    return Sheet(
        origin, _standing_of(transition), Flag.QOS_1 | Flag.RETAIN, id_properties(transition.id)
    )


def _sheet_of(output: Transition | Publication, origin: Origin) -> Sheet:
    properties = id_properties(output.id)
    if isinstance(output, Transition):
        return Sheet(origin, output.encode(), Flag.QOS_1, properties)
    flags = QOS_FLAGS[output.qos] | (Flag.RETAIN if output.retain else 0)
    return Sheet(origin, output.payload, flags, properties)
