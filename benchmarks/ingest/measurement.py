"""One server under one load: the generator in its own process, the costs read beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.ingest.generator import MEASURED, MEASURING, READY, LoadFailed
from benchmarks.ingest.load import Load, Measured
from benchmarks.servers import Running, Server, running
from benchmarks.usage import Usage, measure


@dataclass(frozen=True, slots=True)
class Result:
    """What one server did in one round."""

    messages_per_s: float
    cpu_us_per_message: float
    latency_p50_us: float
    latency_p99_us: float
    latency_max_us: float
    rss_bytes: float
    generator_share: float
    unacknowledged: float


def measure_server(server: Server, load: Load, on_disk: Path) -> Result:
    """Start `server`, put `load` on it, stop it.

    Raises:
        ServerFailed: it did not start.
        LoadFailed: it did not hold out.
    """
    with running(server, on_disk) as place:
        return put_load(place, replace(load, port=place.port))


def put_load(place: Running, load: Load) -> Result:
    """Run the generator against a server and read the server's costs at both ends of its time.

    Raises:
        LoadFailed: the generator gave up; the message is what it said last.
    """
    command = [sys.executable, "-m", "benchmarks.ingest.generator", json.dumps(asdict(load))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        expect_line(child, READY)
        child.stdin.write("go\n")  # type: ignore[union-attr]  # it is a pipe, as asked above
        child.stdin.flush()  # type: ignore[union-attr]
        expect_line(child, MEASURING)
        before = measure(place.pid)
        expect_line(child, MEASURED)
        after = measure(place.pid)
        output, _ = child.communicate()
    return summarise(Measured(**json.loads(output)), before, after)


def expect_line(child: subprocess.Popen[str], wanted: str) -> None:
    """Wait for a line of the generator.

    Raises:
        LoadFailed: it ended instead.
    """
    assert child.stdout is not None
    if child.stdout.readline().strip() != wanted:
        _, errors = child.communicate()
        raise LoadFailed(errors.strip().splitlines()[-1] if errors.strip() else "no word")


def summarise(measured: Measured, before: Usage, after: Usage) -> Result:
    """The figures of one round."""
    cpu_us = (after.cpu_s - before.cpu_s) * 1e6
    return Result(
        messages_per_s=measured.messages_per_s,
        cpu_us_per_message=cpu_us / max(1, measured.messages),
        latency_p50_us=measured.latency_us(0.5),
        latency_p99_us=measured.latency_us(0.99),
        latency_max_us=measured.latency_us(1.0),
        rss_bytes=after.rss_bytes,
        generator_share=measured.generator_cpu_s / measured.seconds,
        unacknowledged=measured.unacknowledged,
    )
