"""Names and contents that outlast a power cut: directories and files, synced by hand."""

from __future__ import annotations

import os
from pathlib import Path

DIRECTORY_MODE = 0o750


def create_directory(data_dir: Path) -> None:
    """Create the directory and its parents so that they outlast a power cut."""
    missing = [path for path in (data_dir, *data_dir.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file's content durable, whoever has written it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
