"""Who refers to a blob: entries of a table, and the sweep of blobs that nobody refers to.

A key is `<digest>/<holder>`. Whoever puts a blob writes such an entry in the commit of what refers
to it, and deletes it with that. References by records of the log need no deleting: their entry says
until which offset they reach, and falls when retention has passed that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import uuid4

import orjson

from gateway.errors import UnknownStream
from gateway.events import Flag, Run
from gateway.store.blobs.files import FOLDERS, BlobStore
from gateway.store.protocol import Put, StreamStore

REFERENCES_TABLE = "blob-references"
LOG_HOLDER = "log"
CLAIM_BYTES = 256 << 10
"""Unless something else is said, larger payloads become blobs."""

HolderCheck = Callable[[str, str], Awaitable[bool]]
"""Says of a digest and the rest of a holder's name whether that holder still refers to it."""


class Reference(NamedTuple):
    """What a record carries in place of a payload that was too large for the log."""

    digest: str
    size_bytes: int


def encode_reference(reference: Reference) -> bytes:
    """The payload that stands for a blob: JSON, so that any reader can follow it."""
    return orjson.dumps({"blob": reference.digest, "size_bytes": reference.size_bytes})


def decode_reference(payload: bytes) -> Reference | None:
    """What `encode_reference` wrote; None when it is something else."""
    try:
        content = orjson.loads(payload)
        return Reference(str(content["blob"]), int(content["size_bytes"]))
    except (ValueError, KeyError, TypeError):
        return None


def holder_put(digest: str, holder: str) -> Put:
    """The change that makes `holder` refer to a blob, until `holder_removal`."""
    return Put(REFERENCES_TABLE, f"{digest}/{holder}", b"")


def holder_removal(digest: str, holder: str) -> Put:
    """The change after which `holder` no longer refers to a blob."""
    return Put(REFERENCES_TABLE, f"{digest}/{holder}", None)


def record_put(digest: str, stream: str, partition: int) -> Put:
    """The change that belongs into the commit of a record that refers to a blob.

    Each has an entry of its own: a later one must not fall with what an earlier one says.
    """
    return holder_put(digest, f"{LOG_HOLDER}/{stream}/{partition}/{uuid4().hex}")


def claim_puts(runs: Sequence[Run]) -> list[Put]:
    """The changes that belong into the commit of these runs, for what they refer to."""
    return [
        record_put(reference.digest, run.stream, run.partition)
        for run in runs
        for reference in references_of(run)
    ]


def references_of(run: Run) -> list[Reference]:
    """What the records of a run refer to, in their order."""
    if max(run.flags, default=0) < Flag.CLAIM:
        return []
    found = (
        decode_reference(payload)
        for payload, flags in zip(run.payloads, run.flags, strict=True)
        if flags & Flag.CLAIM
    )
    return [reference for reference in found if reference is not None]


class BlobSweep:
    """Removes the blobs that nobody refers to, one of 256 folders at a time.

    A holder whose name begins with a word of `checks` is asked; other entries stand until they are
    deleted.
    """

    def __init__(
        self,
        store: StreamStore,
        blobs: BlobStore,
        checks: Mapping[str, HolderCheck] | None = None,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._checks = checks or {}
        self._folder = 0

    @property
    def is_at_start(self) -> bool:
        """Whether the next step begins a round."""
        return self._folder == 0

    async def step(self) -> int:
        """Look through the next folder; returns how many blobs were removed.

        Raises:
            StoreUnavailable: the disk refused; nothing that is referred to was removed.
        """
        folder = FOLDERS[self._folder]
        self._folder = (self._folder + 1) % len(FOLDERS)
        digests = await asyncio.to_thread(self._list, folder)
        held = await self._settle(folder) if digests else frozenset[str]()
        loose = [digest for digest in digests if digest not in held]
        return await asyncio.to_thread(self._remove, loose)

    def _list(self, folder: str) -> Sequence[str]:
        self._blobs.remove_drafts(folder)
        return [one for one in self._blobs.digests(folder) if not self._blobs.is_young(one)]

    def _remove(self, digests: Sequence[str]) -> int:
        return sum(self._blobs.remove(digest) for digest in digests)

    async def _settle(self, folder: str) -> frozenset[str]:
        """The blobs that somebody refers to; references that retention has passed are deleted."""
        puts: list[Put] = []
        held: set[str] = set()
        for key, value in await self._store.entries(REFERENCES_TABLE, folder):
            digest, _, holder = key.partition("/")
            kept = await self._reach(digest, holder, value)
            if kept is None:
                puts.append(Put(REFERENCES_TABLE, key, None))
                continue
            held.add(digest)
            if kept != value:
                puts.append(Put(REFERENCES_TABLE, key, kept))
        if puts:
            await self._store.append([], puts)
        return frozenset(held)

    async def _reach(self, digest: str, holder: str, value: bytes) -> bytes | None:
        """What an entry says from now on; None when its records are gone.

        A record that refers is durable when its entry is, so it lies before the log's end.
        """
        kind, _, rest = holder.partition("/")
        if kind in self._checks:
            return value if await self._checks[kind](digest, rest) else None
        if kind != LOG_HOLDER:
            return value
        stream, partition, _ = rest.split("/")
        try:
            bounds = await self._store.bounds(stream, int(partition))
        except UnknownStream:
            return None
        if not value:
            return str(bounds.log_end_offset).encode()
        return None if bounds.log_start_offset >= int(value) else value
