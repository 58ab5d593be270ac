"""How far a loop over the log has come, and how far that is from its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.events import RecordBatch
from gateway.store import StreamReader

Key = tuple[str, int]

RULES_GROUP = "rules"
"""The consumer group that the rules are."""


class Progress:
    """The next offset of each partition that a consumer group reads."""

    def __init__(self) -> None:
        self._positions: dict[Key, int] = {}
        self.on_move: Callable[[Mapping[Key, int]], None] | None = None
        """Hears the positions whenever they have moved."""

    async def begin(self, reader: StreamReader, group: str) -> None:
        """Begin where the group has committed, unless it is known how far it is."""
        if self._positions:
            return
        known = {own.name: own.offsets for own in await reader.groups()}
        self._positions = dict(known.get(group, {}))

    def note(self, batches: Sequence[RecordBatch]) -> None:
        """Move past batches that were read."""
        for batch in batches:
            self._positions[batch.stream, batch.partition] = batch.next_offset
        if self.on_move is not None:
            self.on_move(self._positions)

    def move_to(self, positions: Mapping[Key, int]) -> None:
        """Be where another process says that it is."""
        self._positions.update(positions)

    def lag(self, ends: Mapping[Key, int]) -> int:
        """How many records lie between here and these ends, in the partitions that are read."""
        positions = self._positions
        return sum(max(0, end - positions.get(key, end)) for key, end in ends.items())
