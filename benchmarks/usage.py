"""What a server costs: processor time and memory of a process and its descendants, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


class Usage(NamedTuple):
    """Processor seconds since the start, and resident bytes now."""

    cpu_s: float
    rss_bytes: int


def family(pid: int) -> list[int]:
    """`pid` and every process that it or its children started."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (stat := stat_fields(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    tree = [pid]
    for parent in tree:
        tree += children.get(parent, [])
    return tree


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty when the process has ended."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def measure(pid: int) -> Usage:
    """Sum up the process tree of `pid`, ended children included."""
    cpu_ticks = rss_bytes = 0
    for member in family(pid):
        if stat := stat_fields(member):
            # user and system time, then those of children that were waited for
            cpu_ticks += sum(int(field) for field in stat[11:15])
            rss_bytes += int(stat[21]) * os.sysconf("SC_PAGE_SIZE")
    return Usage(cpu_ticks / TICKS_PER_S, rss_bytes)
