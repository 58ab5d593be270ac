"""What a process did to a directory, write by write, and what a crash at any point leaves of it.

disk_trace.c takes the notes. A kill leaves everything that was written. A power cut leaves what
was synced, and of the rest what it likes: any writes in any order, a write cut short at a sector,
names that were never made durable or whose removal wasn't.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("disk_trace.c")
INDEX_BYTES = 136
NOTE = struct.Struct(f"=IIqQQ{INDEX_BYTES}s")
SECTOR_BYTES = 512
INDEX_NAME = "penstock.db-shm"
NO_COMPILER = "the disk trace needs Linux and a C compiler (cc)"


class Kind(IntEnum):
    """What was done."""

    write = 1
    truncate = 2
    sync = 3
    unlink = 4
    rename = 5
    directory_sync = 6


class Step(NamedTuple):
    """One call, with the head of the WAL's index just before it."""

    kind: Kind
    name: str
    offset: int
    content: bytes
    index: bytes


class Crash(Enum):
    """How a process ends."""

    kill = "kill"
    cut_strict = "cut, nothing unsynced is left"
    cut_some = "cut, some unsynced writes are left"
    cut_torn = "cut, some unsynced writes are left, some of them torn"


@functools.cache
def built_tracer() -> Path | None:
    """Compile the shim, once a test run; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or os.uname().sysname != "Linux":
        return None
    shim = Path(tempfile.mkdtemp(prefix="disk-trace-")) / "disk_trace.so"
    command = [compiler, "-std=gnu11", "-O2", "-fPIC", "-shared", "-o", str(shim), str(SOURCE)]
    subprocess.run([*command, "-ldl", "-lpthread"], check=True, capture_output=True)
    return shim


def tracing(directory: Path, output: Path) -> Mapping[str, str]:
    """The environment of a process whose steps in `directory` are to be noted in `output`.

    Raises:
        RuntimeError: there is no C compiler.
    """
    shim = built_tracer()
    if shim is None:
        raise RuntimeError(NO_COMPILER)
    return {
        "LD_PRELOAD": str(shim),
        "DISK_TRACE_DIRECTORY": str(directory.resolve()),
        "DISK_TRACE_OUTPUT": str(output),
    }


def read_trace(path: Path) -> list[Step]:
    """Every step, in order."""
    content = path.read_bytes()
    steps = []
    at = 0
    while at < len(content):
        kind, name_length, offset, length, index_length, index = NOTE.unpack_from(content, at)
        at += NOTE.size
        name = content[at : at + name_length].decode()
        at += name_length
        own = content[at : at + length]
        at += length
        steps.append(Step(Kind(kind), name, offset, own, index[:index_length]))
    return steps


@dataclass
class Inode:
    """A file: what is on the disk of it, and what is on its way there."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Step] = field(default_factory=list)

    def sync(self) -> None:
        for step in self.pending:
            apply(step, self.durable)
        self.pending.clear()


def apply(step: Step, content: bytearray) -> None:
    """Do to some bytes what a step did to a file; what was skipped is zeros."""
    if step.kind is Kind.truncate and step.offset < len(content):
        del content[step.offset :]
    elif len(content) < step.offset:
        content += bytes(step.offset - len(content))
    content[step.offset : step.offset + len(step.content)] = step.content


Names = dict[str, Inode]


class Disk:
    """A directory as the kernel has it, and as the disk has it."""

    def __init__(self) -> None:
        self.names: Names = {}
        self._durable_names: Names = {}
        # How the names looked after each change that the directory's sync has not covered.
        self._pending_names: list[Names] = []

    def take(self, step: Step) -> None:
        """Do the next step."""
        if step.kind is Kind.directory_sync:
            self._durable_names = dict(self.names)
            self._pending_names.clear()
            return
        inode = self.names.get(step.name)
        if step.kind in (Kind.write, Kind.truncate):
            if inode is None:
                inode = self.names[step.name] = Inode()
                self._pending_names.append(dict(self.names))
            inode.pending.append(step)
        elif step.kind is Kind.sync and inode is not None:
            inode.sync()
        elif inode is not None:
            del self.names[step.name]
            if step.kind is Kind.rename:
                self.names[step.content.decode()] = inode
            self._pending_names.append(dict(self.names))

    def leave(self, crash: Crash, rng: random.Random) -> dict[str, bytes]:
        """The files that a crash leaves now."""
        if crash is Crash.kill:
            names = self.names
        else:
            # Changes of names reach the disk in their order, as file systems with a journal do.
            names = rng.choice([self._durable_names, *self._pending_names])
        return {name: leave(inode, crash, rng) for name, inode in names.items()}


def leave(inode: Inode, crash: Crash, rng: random.Random) -> bytes:
    """The content of a file after a crash."""
    content = bytearray(inode.durable)
    share = rng.choice((0.1, 0.5, 0.9))
    for step in inode.pending if crash is not Crash.cut_strict else ():
        if crash is Crash.kill:
            apply(step, content)
        elif rng.random() < share:
            apply(torn(step, rng) if crash is Crash.cut_torn else step, content)
    return bytes(content)


def torn(step: Step, rng: random.Random) -> Step:
    """A write as far as some sector of the disk, sometimes."""
    if step.kind is not Kind.write or rng.random() < 0.5:
        return step
    end = rng.randrange(0, len(step.content) + step.offset % SECTOR_BYTES + 1, SECTOR_BYTES)
    return step._replace(content=step.content[: max(end - step.offset % SECTOR_BYTES, 0)])


def crash_at(
    steps: Sequence[Step], point: int, crash: Crash, rng: random.Random
) -> dict[str, bytes]:
    """The files that a crash leaves when it comes just before or, cut off, within a step."""
    disk = Disk()
    for step in steps[:point]:
        disk.take(step)
    if crash is not Crash.kill and steps[point].kind in (Kind.write, Kind.truncate):
        disk.take(steps[point])
    files = disk.leave(crash, rng)
    index = steps[point].index
    # The kernel may have written the index back, or not.
    if index and (crash is Crash.kill or rng.random() < 0.3):
        files[INDEX_NAME] = index
    else:
        files.pop(INDEX_NAME, None)
    return files
