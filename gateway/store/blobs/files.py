"""Blobs as files: `blobs/ab/cdef…`, named by the SHA-256 of what they contain.

Who refers to a blob is `gateway.store.blobs.references`' affair. All of this blocks: call it in a
thread.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from errno import ENOSPC
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import StoreFull, StoreUnavailable
from gateway.store.syncing import create_directory, sync_directory

DIRECTORY_NAME = "blobs"
FOLDERS = tuple(f"{number:02x}" for number in range(256))
DIGEST = re.compile(r"[0-9a-f]{64}")
DRAFT_SUFFIX = ".new"
FOLDER_CHARS = 2
YOUNG_MS = 3_600_000


class BlobStore:
    """The blobs of one data directory.

    A blob that was put less than an hour ago is young: it is never removed, because whoever has put
    it may not have written down its reference yet.
    """

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self.root = data_dir / DIRECTORY_NAME
        self._clock = clock
        self._put_ms: dict[str, int] = {}
        # What is found to be there must not be removed at the same moment.
        self._changing = threading.Lock()

    def put(self, content: bytes) -> str:
        """Keep `content`; returns its digest when it is durable. What is there already stays.

        Raises:
            StoreFull: the disk has no room.
            StoreUnavailable: the disk refused.
        """
        digest = hashlib.sha256(content).hexdigest()
        path = self.path_of(digest)
        with self._changing:
            self._put_ms[digest] = self._clock.monotonic_ms()
            try:
                if self.get(digest) is not None:
                    os.utime(path)
                else:
                    _write_durably(path, content)
            except OSError as error:
                kind = StoreFull if error.errno == ENOSPC else StoreUnavailable
                raise kind(f"{path} can't be written: {error.strerror}") from error
        return digest

    def get(self, digest: str) -> bytes | None:
        """The content of a blob, proved by its digest; None when it is gone or damaged."""
        content = self.read(digest)
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            return None
        return content

    def prove(self, digest: str) -> int | None:
        """How many bytes a blob has, once all were read; None when it is gone or damaged.

        However large the blob is, little of it is in memory.
        """
        try:
            with self.path_of(digest).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                return file.tell() if found == digest else None
        except OSError:
            return None

    def read(self, digest: str, start: int = 0, size_bytes: int | None = None) -> bytes | None:
        """A part of a blob, unproved; shorter at its end. None when there is no such blob."""
        try:
            with self.path_of(digest).open("rb") as file:
                file.seek(start)
                return file.read(-1 if size_bytes is None else size_bytes)
        except OSError:
            return None

    def size_of(self, digest: str) -> int | None:
        """How many bytes a blob has; None when there is no such blob."""
        try:
            return self.path_of(digest).stat().st_size
        except OSError:
            return None

    def path_of(self, digest: str) -> Path:
        """Where a blob lies, or would lie.

        Raises:
            ValueError: it is no digest.
        """
        if not DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is no SHA-256 in small hexadecimal digits")
        return self.root / digest[:FOLDER_CHARS] / digest[FOLDER_CHARS:]

    def digests(self, folder: str) -> Iterator[str]:
        """Every blob whose digest begins with the two digits `folder`, in order."""
        for path in _files(self.root / folder):
            digest = folder + path.name
            if DIGEST.fullmatch(digest):
                yield digest

    def is_young(self, digest: str) -> bool:
        """Whether a blob was put so lately that its reference may not be written yet."""
        put_ms = self._put_ms.get(digest)
        if put_ms is not None:
            if self._clock.monotonic_ms() - put_ms < YOUNG_MS:
                return True
            del self._put_ms[digest]
        return self._age_ms(self.path_of(digest)) < YOUNG_MS

    def remove(self, digest: str) -> bool:
        """Delete a blob, unless it is young; returns whether it is gone."""
        with self._changing:
            if self.is_young(digest):
                return False
            self.path_of(digest).unlink(missing_ok=True)
            return True

    def remove_drafts(self, folder: str) -> None:
        """Delete what a crash has left half written, once it is old."""
        for path in _files(self.root / folder):
            if path.name.endswith(DRAFT_SUFFIX) and self._age_ms(path) >= YOUNG_MS:
                path.unlink(missing_ok=True)

    def _age_ms(self, path: Path) -> int:
        """How long ago a file was written; what is dated in the future was written long ago."""
        try:
            age_ms = self._clock.now_ms() - path.stat().st_mtime_ns // 1_000_000
        except OSError:
            return YOUNG_MS
        return age_ms if age_ms >= -YOUNG_MS else YOUNG_MS


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _write_durably(path: Path, content: bytes) -> None:
    """Write a file so that after a power cut it is there whole or not at all."""
    create_directory(path.parent)
    draft = path.with_name(f"{path.name}.{os.getpid()}{DRAFT_SUFFIX}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_directory(path.parent)
