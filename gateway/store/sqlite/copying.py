"""Safety copies of a data directory: taken beside a running gateway, checked before they are used.

A copy is `VACUUM INTO` on a reading connection: one snapshot, so it is whole whatever is written
meanwhile, and the writer never waits for it. While it runs, the WAL can't be begun anew and grows
by what is taken in.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from gateway import __version__
from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.store.sqlite.connections import unavailable
from gateway.store.sqlite.lock_file import DirectoryLock
from gateway.store.sqlite.schema import DATABASE_NAME
from gateway.store.sqlite.verifying import Verdict, connect_snapshot, verify
from gateway.store.syncing import sync_directory, sync_file

MANIFEST_NAME = "manifest.json"
READ_BYTES = 1 << 20
PROGRESS_STEPS = 100_000
Progress = Callable[[int, int], None]


def show_nothing(done_bytes: int, size_bytes: int) -> None:
    """Report to nobody how far a copy has come."""


def back_up(
    data_dir: Path, destination: Path, clock: Clock, progress: Progress = show_nothing
) -> dict[str, Any]:
    """Copy the log of `data_dir` into the new directory `destination`; return its manifest.

    Raises:
        StoreError: `destination` is in use, there is no log, or the disk refused.
    """
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise StoreError(f"{destination} is not empty; name a new directory for the backup")
    source = data_dir / DATABASE_NAME
    target = destination / DATABASE_NAME
    with closing(connect_snapshot(source)) as connection:
        destination.mkdir(parents=True, exist_ok=True)
        size_bytes = source.stat().st_size
        connection.set_progress_handler(
            lambda: progress(target.stat().st_size if target.exists() else 0, size_bytes),
            PROGRESS_STEPS,
        )
        try:
            connection.execute("VACUUM INTO ?", (str(target),))
        except sqlite3.Error as error:
            target.unlink(missing_ok=True)
            raise unavailable(error, source) from error
    sync_file(target)
    manifest = describe(target, verify(destination), clock.now_ms())
    write_synced(destination / MANIFEST_NAME, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    return manifest


def describe(target: Path, verdict: Verdict, taken_ms: int) -> dict[str, Any]:
    """What a copy holds, and how to tell that it is still the same."""
    streams = sorted({stream for stream, _ in verdict.partitions})
    return {
        "penstock": __version__,
        "time": datetime.fromtimestamp(taken_ms / 1000, UTC).isoformat(timespec="seconds"),
        "file": target.name,
        "size_bytes": target.stat().st_size,
        "sha256": file_hash(target),
        "faults": verdict.faults,
        "streams": {
            stream: {
                "hash": verdict.stream_hash(stream),
                "next_offsets": [
                    verdict.partitions[key].next_offset
                    for key in sorted(verdict.partitions)
                    if key[0] == stream
                ],
            }
            for stream in streams
        },
    }


def restore(source: Path, data_dir: Path) -> dict[str, Any]:
    """Put a copy into an unused data directory, once it has proved whole; return its manifest.

    Raises:
        StoreError: the copy is not what was written, or the directory is in use; nothing is there.
    """
    manifest = read_manifest(source)
    copy = source / DATABASE_NAME
    if not copy.exists() or file_hash(copy) != manifest["sha256"]:
        raise StoreError(f"{copy} is not what the backup wrote; use another backup")
    verdict = verify(source)
    if verdict.faults != manifest["faults"]:
        raise StoreError(f"{copy} is not sound: {verdict.faults[0]}; use another backup")
    if any(data_dir.glob(f"{DATABASE_NAME}*")):
        raise StoreError(f"{data_dir} holds a log already; name a directory that doesn't")
    lock = DirectoryLock.take(data_dir)
    draft = data_dir / f"restoring-{DATABASE_NAME}"
    try:
        shutil.copyfile(copy, draft)
        sync_file(draft)
        draft.rename(data_dir / DATABASE_NAME)
        sync_directory(data_dir)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StoreError(f"can't write {data_dir}: {error.strerror}") from error
    finally:
        lock.release()
    return manifest


def read_manifest(source: Path) -> dict[str, Any]:
    """Read what a backup says of itself.

    Raises:
        StoreError: it is no backup.
    """
    path = source / MANIFEST_NAME
    try:
        manifest = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise StoreError(
            f"{source} is not a backup ({MANIFEST_NAME} can't be read); "
            "name a directory that 'penstock backup' wrote"
        ) from error
    if not isinstance(manifest, dict) or not {"sha256", "streams", "faults"} <= manifest.keys():
        raise StoreError(f"{path} is not the manifest of a backup")
    return manifest


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def write_synced(path: Path, content: bytes) -> None:
    """Write a small file so that it is there whole or not at all, whatever happens."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_bytes(content)
    sync_file(draft)
    draft.rename(path)
    sync_directory(path.parent)
