"""Proving a data directory sound, copying it and putting it back; the engine is imported when used.

All of it blocks, and none of it needs the gateway: the command line calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.clock import Clock, SystemClock
from gateway.store.blobs.copying import copy_blobs
from gateway.store.blobs.files import BlobStore


def verify_log(data_dir: Path) -> dict[str, Any]:
    """Read everything in a data directory: streams with their hashes, faults, reports of damage.

    Raises:
        StoreError: there is no log, or it can't be read at all.
    """
    from gateway.store.sqlite.verifying import check_blobs, verify

    verdict = verify(data_dir)
    check_blobs(BlobStore(data_dir, SystemClock()), verdict)
    return verdict.summary()


def back_up_log(
    data_dir: Path, destination: Path, clock: Clock, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Copy a log and its blobs, beside a gateway too, into a new directory; return what is there.

    Raises:
        StoreError: the directory is in use, there is no log, or the disk refused.
    """
    from gateway.store.sqlite.copying import back_up

    manifest = back_up(data_dir, destination, clock, progress)
    # After the log: whatever it refers to was durable before it.
    copy_blobs(data_dir, destination, clock)
    return manifest


def restore_log(source: Path, data_dir: Path) -> dict[str, Any]:
    """Put a copy with its blobs into an unused data directory, once it has proved whole.

    Returns what it holds.

    Raises:
        StoreError: the copy is not what was written, or the directory is in use.
    """
    from gateway.store.sqlite.copying import restore

    manifest = restore(source, data_dir)
    copy_blobs(source, data_dir, SystemClock())
    return manifest


def bring_back_records(data_dir: Path) -> list[tuple[str, int, int]]:
    """Put back what a salvage had no room for: of each file its name, batches and records.

    Raises:
        StoreError: a gateway has the directory, a file is gone, or the disk refused.
    """
    from gateway.store.sqlite.returning import bring_back

    return list(bring_back(data_dir))


def audit_log(data_dir: Path) -> dict[str, Any]:
    """Draw up what was accepted and what became of it, by partition and by consumer group.

    Raises:
        StoreError: there is no log, or it can't be read at all.
    """
    from gateway.store.sqlite.auditing import audit

    return audit(data_dir)


def engine_version() -> str:
    """The version of the engine that keeps the log."""
    from sqlite3 import sqlite_version

    return sqlite_version
