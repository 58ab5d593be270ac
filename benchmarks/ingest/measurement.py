"""What one server did under the load `ingest`, with what it used for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import loading
from benchmarks.loading import Costs
from benchmarks.servers import Server
from firmware_sim.load import IngestLoad, IngestMeasured


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


def measure_server(server: Server, load: IngestLoad, on_disk: Path) -> Result:
    """Start `server`, put `load` on it, stop it.

    Raises:
        ServerFailed: it did not start.
        LoadFailed: it did not hold out.
    """
    measured, costs = loading.measure_server("ingest", server, load, on_disk)
    return summarise(IngestMeasured(**measured), costs)


def summarise(measured: IngestMeasured, costs: Costs) -> Result:
    """The figures of one round."""
    return Result(
        messages_per_s=measured.messages_per_s,
        cpu_us_per_message=costs.cpu_s * 1e6 / max(1, measured.messages),
        latency_p50_us=measured.latency_us(0.5),
        latency_p99_us=measured.latency_us(0.99),
        latency_max_us=measured.latency_us(1.0),
        rss_bytes=costs.rss_bytes,
        generator_share=measured.generator_cpu_s / measured.seconds,
        unacknowledged=measured.unacknowledged,
    )
