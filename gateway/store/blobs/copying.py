"""Copies of blobs for a backup and back: each proved by its name, and durable on return."""

from __future__ import annotations

from pathlib import Path

from gateway.clock import Clock
from gateway.store.blobs.files import FOLDERS, BlobStore


def copy_blobs(source: Path, target: Path, clock: Clock) -> int:
    """Copy every whole blob of one directory into another; returns how many the target has.

    What is damaged is left behind: it could not be read in its old place either.

    Raises:
        StoreFull: the disk has no room.
        StoreUnavailable: the disk refused.
    """
    own, copies = BlobStore(source, clock), BlobStore(target, clock)
    count = 0
    for folder in FOLDERS:
        for digest in own.digests(folder):
            content = own.get(digest)
            if content is not None:
                copies.put(content)
                count += 1
    return count
