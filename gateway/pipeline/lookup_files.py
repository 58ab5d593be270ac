"""The files behind look-ups: read at the start and whenever they change, written into the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.events import Origin, Run
from gateway.rules import (
    LOOKUP_INVALID,
    LOOKUPS_STREAM,
    ROWS_MAX,
    RULES_CLIENT,
    TABLE_SUFFIXES,
    TICKS_STREAM,
    Lookup,
    Version,
    decode_version,
    read_rows,
    version_of,
)
from gateway.store import ConsumerStore, Put, StreamSpec, read_reference

LOG = logging.getLogger(__name__)
TABLE = "rule-lookups"
FAULTS_TABLE = "rule-lookup-faults"
"""What is wrong with a look-up's file, by the name of the look-up; its alarm is up."""
LOOKUPS_BYTES_MAX = 256 << 20
LOOKUPS_SPEC = StreamSpec(
    LOOKUPS_STREAM, partitions=1, retention_age_ms=None, retention_bytes=LOOKUPS_BYTES_MAX
)
"""Versions are kept as long as there is room: a replay needs the one of then, however old."""


class LookupFiles:
    """The look-up files of one rule set."""

    def __init__(self, store: ConsumerStore, clock: Clock, lookups: Mapping[str, Lookup]) -> None:
        self._store = store
        self._clock = clock
        self._lookups = lookups
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self.faults: dict[str, str] = {}
        """What is wrong with files that can't be read; the version before them holds."""

    async def load(self) -> None:
        """Write every look-up into the log whose file holds something new."""
        for name in self._lookups:
            await self.look(name)
        for name, _ in await self._store.table(FAULTS_TABLE).items():
            if name not in self._lookups:
                await self._mend(name)

    async def watch(self) -> None:
        """Look at each file as often as its look-up says, until cancelled."""
        due_ms = {
            name: self._clock.monotonic_ms() + lookup.reload_ms
            for name, lookup in self._lookups.items()
            if lookup.reload_ms is not None
        }
        while due_ms:
            name = min(due_ms, key=lambda one: due_ms[one])
            await asyncio.sleep(max(0, due_ms[name] - self._clock.monotonic_ms()) / 1_000)
            await self.look(name)
            due_ms[name] = self._clock.monotonic_ms() + (self._lookups[name].reload_ms or 0)

    async def look(self, name: str) -> None:
        """Read one file if it has changed; a bad one is told, and changes nothing."""
        lookup = self._lookups[name]
        stamp = await asyncio.to_thread(_stamp, lookup)
        if name in self._stamps and stamp == self._stamps[name]:
            return
        try:
            version = await asyncio.to_thread(read_version, lookup)
        except (OSError, ValueError) as error:
            self.faults[name] = f"{lookup.file}: {error}"
            LOG.warning("look-up '%s' stays as it was: %s", name, self.faults[name])
            if await self._report(name):
                self._stamps[name] = stamp
            return
        try:
            if await self._store.table(TABLE).get(name) != version.version.encode():
                await self._journal(version)
            await self._mend(name)
        except StoreUnavailable:
            return  # the next look tries again
        self.faults.pop(name, None)
        self._stamps[name] = stamp

    async def _journal(self, version: Version) -> None:
        origin = Origin(LOOKUPS_STREAM, version.lookup)
        now_ms = self._clock.now_ms()
        payload = version.encode()
        run = Run(LOOKUPS_STREAM, 0, RULES_CLIENT, now_ms, [origin], [payload], bytes(1))
        put = Put(TABLE, version.lookup, version.version.encode())
        await self._store.append([run], [put])
        LOG.info("look-up '%s' is now version %s", version.lookup, version.version)

    async def _report(self, name: str) -> bool:
        """Have the alarm of a bad file raised, unless it is up already; False: try again."""
        message = f"look-up '{name}' stays as it was: {self.faults[name]}"
        try:
            if await self._store.table(FAULTS_TABLE).get(name) != message.encode():
                put = Put(FAULTS_TABLE, name, message.encode())
                await self._tick({"fault": [LOOKUP_INVALID, message, name]}, put)
        except StoreUnavailable:
            return False
        return True

    async def _mend(self, name: str) -> None:
        """Have the alarm of a file cleared, if it is up."""
        if await self._store.table(FAULTS_TABLE).get(name) is not None:
            put = Put(FAULTS_TABLE, name, None)
            await self._tick({"mended": [LOOKUP_INVALID, name]}, put)

    async def _tick(self, notice: Mapping[str, Sequence[str]], put: Put) -> None:
        now_ms = self._clock.now_ms()
        payload = orjson.dumps({"now_ms": now_ms, **notice})
        origin = Origin(TICKS_STREAM, TICKS_STREAM)
        run = Run(TICKS_STREAM, 0, RULES_CLIENT, now_ms, [origin], [payload], bytes(1))
        await self._store.append([run], [put])

    async def versions_at(self, offset: int) -> dict[str, Version]:
        """What holds at an offset of the stream: the last version before it, else the first."""
        found: dict[str, Version] = {}
        bounds = await self._store.bounds(LOOKUPS_STREAM, 0)
        position = bounds.log_start_offset
        while position < bounds.log_end_offset:
            chunk = await self._store.fetch(LOOKUPS_STREAM, 0, position)
            for record in (record for batch in chunk.batches for record in batch.records()):
                version = decode_version(record.payload)
                if version is not None and (record.offset < offset or version.lookup not in found):
                    found[version.lookup] = version
            position = max(chunk.next_offset, position + 1)
        return found


def read_version(lookup: Lookup) -> Version:
    """What the file of a look-up holds.

    Raises:
        OSError: it can't be read.
        ValueError: something in it is wrong; the message is for people.
    """
    path = Path(lookup.file)
    if path.suffix in TABLE_SUFFIXES:
        return version_of(lookup, read_reference(path, lookup.name, ROWS_MAX))
    return version_of(lookup, read_rows(lookup, path.read_bytes()))


def _stamp(lookup: Lookup) -> tuple[int, int] | None:
    """What changes when a file is written; None when there is none."""
    try:
        found = Path(lookup.file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
