"""The load generator of the benchmarks, against a server that only acknowledges."""

from __future__ import annotations

import pytest

from benchmarks.ingest.measurement import measure_server
from benchmarks.machine import DiskRefused, mount_of, mounts, require_disk
from benchmarks.servers import Sink
from firmware_sim.load import IngestLoad


@pytest.mark.parametrize("window", [1, 50])
def test_every_message_is_acknowledged_and_timed(tmp_path, window):
    load = IngestLoad(connections=5, window=window, warm_up_s=0.1, measured_s=0.2)
    result = measure_server(Sink(), load, tmp_path)
    assert result.messages_per_s > 0
    assert result.unacknowledged == 0
    assert 0 < result.latency_p50_us <= result.latency_p99_us <= result.latency_max_us


def test_memory_is_no_disk():
    in_memory = next((mount for mount in mounts() if mount.kind == "tmpfs"), None)
    if in_memory is None or mount_of(in_memory.point) != in_memory:
        pytest.skip("nothing here is mounted in memory")
    with pytest.raises(DiskRefused, match="memory"):
        require_disk(in_memory.point)
