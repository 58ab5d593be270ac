"""A turn of a device service: what one commit is to hold, as it is decided record by record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from gateway.errors import StoreUnavailable
from gateway.events import Flag, Origin, Run
from gateway.mqtt import Properties, encode_properties
from gateway.pipeline.sheets import Sheet
from gateway.store import Put, StreamStore

GATEWAY_CLIENT = "$gateway"
RETRY_S = 0.5
BY_CHARACTERS_MAX = 128
"""How much of the name of who asked is remembered."""
CACHE_BYTES_MAX = 4 << 20
ENTRY_BYTES = 200


class Place(NamedTuple):
    """Where a record goes."""

    stream: str
    partition: int
    origin: Origin


class Route(Protocol):
    """What tells where the records of a topic lie."""

    def __call__(self, topic: str, device: str = "", /) -> tuple[str, int, Origin]: ...


PutsOf = Callable[[Sequence[Run]], Sequence[Put]]


class Entries:
    """Entries of tables that one service alone changes; the last ones used are kept in memory."""

    def __init__(self, store: StreamStore) -> None:
        self._store = store
        self._known: dict[tuple[str, str], bytes | None] = {}
        self._known_bytes = 0

    async def get(self, table: str, key: str) -> bytes | None:
        """The value of a key; waits while the disk refuses."""
        place = table, key
        if place in self._known:
            value = self._known[place] = self._known.pop(place)
            return value
        while True:
            try:
                value = await self._store.entry(table, key)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
            else:
                self._keep(place, value)
                return value

    def take(self, puts: Mapping[tuple[str, str], bytes | None]) -> None:
        """Remember what has been written."""
        for place, value in puts.items():
            self._drop(place)
            self._keep(place, value)

    def _keep(self, place: tuple[str, str], value: bytes | None) -> None:
        self._known[place] = value
        self._known_bytes += ENTRY_BYTES + len(value or b"")
        while self._known_bytes > CACHE_BYTES_MAX:
            self._drop(next(iter(self._known)))

    def _drop(self, place: tuple[str, str]) -> None:
        if place in self._known:
            self._known_bytes -= ENTRY_BYTES + len(self._known.pop(place) or b"")


class Turn:
    """What one commit is to hold: records in the order in which they were said, and entries."""

    def __init__(self, entries: Entries, route: Route, now_ms: int) -> None:
        self.now_ms = now_ms
        self.puts: dict[tuple[str, str], bytes | None] = {}
        self._entries = entries
        self._route = route
        self._sheets: dict[tuple[str, int], list[Sheet]] = {}
        self._followers: list[Callable[[], None]] = []

    @property
    def is_empty(self) -> bool:
        return not (self.puts or self._sheets)

    async def get(self, table: str, key: str) -> bytes | None:
        """The value of a key as this turn leaves it."""
        place = table, key
        if place in self.puts:
            return self.puts[place]
        return await self._entries.get(table, key)

    def put(self, table: str, key: str, value: bytes | None) -> None:
        """Set a key; None removes it."""
        self.puts[table, key] = value

    def say(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Publish at QoS 1 in the gateway's own name.

        Raises:
            MqttError: no stream takes the topic.
        """
        stream, partition, origin = self._route(topic)
        flags = Flag.QOS_1 | (Flag.RETAIN if retain else 0)
        encoded = b"" if properties is None else encode_properties(properties)
        sheets = self._sheets.setdefault((stream, partition), [])
        sheets.append(Sheet(origin, payload, flags, encoded))

    def after(self, follow: Callable[[], None]) -> None:
        """Call something once this turn is durable."""
        self._followers.append(follow)

    def conclude(self) -> None:
        """Call what was to be called once the turn is durable."""
        for follow in self._followers:
            follow()

    def runs(self) -> list[Run]:
        """What was said, as one run for each partition."""
        return [
            Run(
                stream,
                partition,
                GATEWAY_CLIENT,
                self.now_ms,
                [sheet.origin for sheet in sheets],
                [sheet.payload for sheet in sheets],
                bytes(sheet.flags for sheet in sheets),
                [sheet.properties for sheet in sheets],
            )
            for (stream, partition), sheets in self._sheets.items()
        ]
