"""What a figure was measured on: processor, kernel, Python, and a disk that is one."""

from __future__ import annotations

import os
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "zram"})
BLOCK = b"\xa5" * 4096
SYNC_US_MIN = 5.0
PROBES = 200


class DiskRefused(RuntimeError):
    """The directory is kept in memory: nothing measured on it speaks of a disk."""


class Mount(NamedTuple):
    """Where a file system hangs, of which type it is, from which device, with which options."""

    point: Path
    kind: str
    source: str
    options: str


@dataclass(frozen=True, slots=True)
class Machine:
    """The words that stand above a table of figures."""

    processor: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    directory: str
    file_system: str
    sync_us_median: float

    def __str__(self) -> str:
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_bytes / 2**30:.1f} GiB; "
            f"{self.kernel}; Python {self.python}\nlogs in {self.directory} ({self.file_system}); "
            f"fdatasync of a 4 KiB append: {self.sync_us_median:.0f} us"
        )


def describe_machine(directory: Path) -> Machine:
    """Name the machine and the file system of `directory`.

    Raises:
        DiskRefused: that file system is in memory.
    """
    mount = require_disk(directory)
    return Machine(
        processor=processor_name(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        directory=str(directory),
        file_system=f"{mount.kind} on {mount.source}",
        sync_us_median=statistics.median(sync_times_us(directory)),
    )


def processor_name() -> str:
    """The processor as the kernel calls it; a board's model where that says more."""
    model = Path("/proc/device-tree/model")
    if model.exists():
        return model.read_text().strip("\0\n ")
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def mounts() -> list[Mount]:
    """Every mounted file system, the later ones over the earlier."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        own, _, rest = line.partition(" - ")
        kind, source, options = rest.split(" ", 2)
        point = own.split()[4].replace("\\040", " ")
        found.append(Mount(Path(point), kind, source, options))
    return found


def mount_of(path: Path) -> Mount:
    """The file system that `path` lies on."""
    resolved = path.resolve()
    over = [mount for mount in mounts() if resolved.is_relative_to(mount.point)]
    # Of two mounts on one point, the later hides the earlier: max() would keep the first.
    return max(reversed(over), key=lambda mount: len(mount.point.parts))


def require_disk(directory: Path) -> Mount:
    """The file system of `directory`, when it is on a disk.

    Raises:
        DiskRefused: it is in memory, by its type, its lower layer or the time of a sync.
    """
    mount = mount_of(directory)
    advice = "choose a directory on a disk with --directory"
    if mount.kind in MEMORY_FILE_SYSTEMS:
        raise DiskRefused(f"{directory} is on {mount.kind}, which is memory; {advice}")
    if mount.kind == "overlay":
        options = dict(item.partition("=")[::2] for item in mount.options.split(","))
        upper = Path(options.get("upperdir", "/"))
        if upper.exists() and mount_of(upper).kind in MEMORY_FILE_SYSTEMS:
            raise DiskRefused(f"{directory} is an overlay whose upper layer is memory; {advice}")
    median_us = statistics.median(sync_times_us(directory))
    if median_us < SYNC_US_MIN:
        raise DiskRefused(
            f"a sync in {directory} takes {median_us:.1f} us, so it reaches no disk; {advice}"
        )
    return mount


def sync_times_us(directory: Path, probes: int = PROBES) -> list[float]:
    """How long `fdatasync` took after each of `probes` appends of 4 KiB to a new file."""
    path = directory / f"sync-probe-{os.getpid()}"
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    times_us = []
    try:
        for _ in range(probes):
            os.write(fd, BLOCK)
            started_ns = time.perf_counter_ns()
            os.fdatasync(fd)
            times_us.append((time.perf_counter_ns() - started_ns) / 1000)
    finally:
        os.close(fd)
        path.unlink()
    return times_us
