"""Which consumer groups still read, and how far they are: for streams that wait for them.

What retention does with it is the engines' affair.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.store.cursors import Key

LIVE_WITHIN_MS = 86_400_000


class Liveness:
    """Knows when each group last moved; a group that rests for a day is not waited for.

    When the log is opened, every group counts as having moved just then.
    """

    def __init__(self, within_ms: int = LIVE_WITHIN_MS) -> None:
        self._within_ms = within_ms
        self._moved: dict[str, tuple[Mapping[Key, int], int]] = {}

    def look(self, groups: Mapping[str, Mapping[Key, int]], now_ms: int) -> None:
        """Take in what the groups have committed by now; `now_ms` is monotonic."""
        moved = {}
        for name, offsets in groups.items():
            known = self._moved.get(name)
            if known is not None and known[0] == offsets:
                moved[name] = known
            else:
                moved[name] = (dict(offsets), now_ms)
        self._moved = moved

    def live(self, now_ms: int) -> list[str]:
        """The groups that have moved lately, by name."""
        return sorted(
            name for name, (_, at_ms) in self._moved.items() if now_ms - at_ms <= self._within_ms
        )

    def floors(self, keys: Collection[Key], now_ms: int) -> dict[Key, int]:
        """Of each partition the lowest offset that a live group of its stream has still to read.

        A partition that such a group has not read at all is held from its beginning.
        """
        streams = {stream for stream, _ in keys}
        floors: dict[Key, int] = {}
        for name in self.live(now_ms):
            offsets = self._moved[name][0]
            read = streams & {stream for stream, _ in offsets}
            for key in keys:
                if key[0] in read:
                    floors[key] = min(floors.get(key, offsets.get(key, 0)), offsets.get(key, 0))
        return floors
