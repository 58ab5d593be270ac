"""From references back to payloads, for subscribers: proved first, then read piece by piece.

How the pieces reach a client is `gateway.server.subscriber`'s affair.
"""

from __future__ import annotations

import asyncio
import logging

import orjson

from gateway.clock import Clock
from gateway.mqtt import NO_PROPERTIES, encode_properties
from gateway.session import Outgoing, Streamed
from gateway.store import BlobStore, decode_reference

LOG = logging.getLogger(__name__)
PROVED_MAX = 1_000
PROVED_MS = 600_000
BLOB_PROPERTY = "penstock-blob"


class Claims:
    """Finds the blobs behind references.

    A blob that was read and found whole is held to be so for ten minutes.
    """

    def __init__(self, blobs: BlobStore, clock: Clock) -> None:
        self.blobs = blobs
        self._clock = clock
        self._proved: dict[str, tuple[int, int]] = {}
        self._proving: dict[str, asyncio.Task[int | None]] = {}

    async def resolve(self, message: Outgoing) -> Streamed | None:
        """The message with the payload that it refers to; None when that is gone or damaged."""
        reference = decode_reference(message.payload)
        if reference is None:
            return None
        size_bytes = await self._prove(reference.digest)
        if size_bytes is None:
            LOG.error("blob %s is gone or damaged: not delivered", reference.digest)
            return None
        return Streamed(message, reference.digest, size_bytes)

    async def _prove(self, digest: str) -> int | None:
        """The size of a blob, once it has been read; one reading serves all who wait for it."""
        known = self._proved.get(digest)
        if known is not None and self._clock.monotonic_ms() - known[1] < PROVED_MS:
            return known[0]
        proving = self._proving.get(digest)
        if proving is None:
            proving = asyncio.ensure_future(self._read_through(digest))
            self._proving[digest] = proving
            proving.add_done_callback(lambda _: self._proving.pop(digest, None))
        # Who gives up waiting must not end it for the others.
        return await asyncio.shield(proving)

    async def _read_through(self, digest: str) -> int | None:
        try:
            size_bytes = await asyncio.to_thread(self.blobs.prove, digest)
        except ValueError:
            return None
        if size_bytes is not None:
            if len(self._proved) >= PROVED_MAX:
                del self._proved[next(iter(self._proved))]
            self._proved[digest] = (size_bytes, self._clock.monotonic_ms())
        return size_bytes

    async def piece(self, digest: str, start: int, size_bytes: int) -> bytes:
        """Some bytes of a blob; none when it is gone."""
        return await asyncio.to_thread(self.blobs.read, digest, start, size_bytes) or b""


def reference_properties(payload: bytes) -> bytes:
    """What tells a client that it was sent a reference: the user property `penstock-blob`."""
    digest = str(orjson.loads(payload)["blob"])
    pairs = ((BLOB_PROPERTY, digest),)
    return encode_properties(NO_PROPERTIES._replace(user_properties=pairs))
