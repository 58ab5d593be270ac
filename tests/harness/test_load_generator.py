"""The load generator of the benchmarks, against a server that only acknowledges."""

from __future__ import annotations

import random

import pytest

from benchmarks.ingest.measurement import measure_server
from benchmarks.machine import DiskRefused, mount_of, mounts, require_disk
from benchmarks.servers import Sink
from firmware_sim.load import IngestLoad, build_ring
from firmware_sim.load.packets import telemetry_payload
from tests.harness.raw_client import PUBLISH, decode_packet


@pytest.mark.parametrize("window", [1, 50])
def test_every_message_is_acknowledged_and_timed(tmp_path, window):
    load = IngestLoad(connections=5, window=window, warm_up_s=0.1, measured_s=0.2)
    result = measure_server(Sink(), load, tmp_path)
    assert result.messages_per_s > 0
    assert result.unacknowledged == 0
    assert 0 < result.latency_p50_us <= result.latency_p99_us <= result.latency_max_us


def test_a_ring_holds_valid_publishes_with_changing_content():
    ring = build_ring("bench/a", window=10, payload_bytes=120, seed=1)
    rest, bodies = ring.encoded, []
    while rest:
        packet, end = decode_packet(rest)
        assert (packet.kind, packet.flags, end) == (PUBLISH, 2, ring.packet_bytes)
        bodies.append(packet.body)
        rest = rest[end:]
    assert len(bodies) == ring.packet_count + 10
    assert len(set(bodies)) == ring.packet_count
    assert bodies[ring.packet_count :] == bodies[:10]


@pytest.mark.parametrize("payload_bytes", [120, 121, 400])
def test_a_payload_has_the_length_that_was_asked_for(payload_bytes):
    for sequence in range(200):
        payload = telemetry_payload(random.Random(sequence), sequence, payload_bytes)
        assert len(payload) == payload_bytes


def test_a_payload_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="too small"):
        telemetry_payload(random.Random(1), 1, 60)


def test_memory_is_no_disk():
    in_memory = next((mount for mount in mounts() if mount.kind == "tmpfs"), None)
    if in_memory is None or mount_of(in_memory.point) != in_memory:
        pytest.skip("nothing here is mounted in memory")
    with pytest.raises(DiskRefused, match="memory"):
        require_disk(in_memory.point)
