"""One server under one load: the load in its own process, the server's costs read beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.servers import Running, Server, running
from benchmarks.usage import Usage, measure
from firmware_sim.failures import LoadFailed
from firmware_sim.load import MEASURED, MEASURING, READY, Load


class Costs(NamedTuple):
    """What a server used between the two ends of a measured time, and what it held then."""

    cpu_s: float
    rss_bytes: int
    rss_before_bytes: int


def measure_server(
    kind: str, server: Server, load: Load, on_disk: Path
) -> tuple[dict[str, Any], Costs]:
    """Start `server`, put a load on it, stop it; returns what the load measured, and its costs.

    Raises:
        ServerFailed: it did not start.
        LoadFailed: it did not hold out.
    """
    with running(server, on_disk) as place:
        return put_load(kind, place, replace(load, port=place.port))


def put_load(kind: str, place: Running, load: Load) -> tuple[dict[str, Any], Costs]:
    """Run a load against a server and read the server's costs at both ends of its time.

    Raises:
        LoadFailed: the load gave up; the message is what it said last.
    """
    command = [sys.executable, "-m", "firmware_sim.load.child", kind]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        tell(child, json.dumps(asdict(load)))
        expect_line(child, READY)
        tell(child, "go")
        expect_line(child, MEASURING)
        before = measure(place.pid)
        expect_line(child, MEASURED)
        after = measure(place.pid)
        output, _ = child.communicate("go on\n")
    return json.loads(output), costs(before, after)


def tell(child: subprocess.Popen[str], line: str) -> None:
    """Write a line to the load."""
    assert child.stdin is not None
    child.stdin.write(f"{line}\n")
    child.stdin.flush()


def expect_line(child: subprocess.Popen[str], wanted: str) -> None:
    """Wait for a line of the load.

    Raises:
        LoadFailed: it ended instead.
    """
    assert child.stdout is not None
    if child.stdout.readline().strip() != wanted:
        _, errors = child.communicate()
        raise LoadFailed(errors.strip().splitlines()[-1] if errors.strip() else "no word")


def costs(before: Usage, after: Usage) -> Costs:
    """The difference of two readings."""
    return Costs(after.cpu_s - before.cpu_s, after.rss_bytes, before.rss_bytes)
