"""A crowd of hostile clients costs nobody else anything: no ack, no memory, no connection.

`PENSTOCK_ATTACKS=8500 ./run test tests/faults/test_hostile_clients.py` is the full size;
`PENSTOCK_SEED` repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults import hostile_crowd
from tests.faults.attacks import ANSWERED, CLOSED, PING, V3, V5, VECTORS, Attack, attacks, connect
from tests.faults.hostile_crowd import attack_all
from tests.harness.gateway_process import GatewayProcess
from tests.harness.raw_client import connected
from tests.harness.waiting import wait_for

SEED = int(os.environ.get("PENSTOCK_SEED", "20260101"))
ATTACKS = int(os.environ.get("PENSTOCK_ATTACKS", "2000"))
HALF_OPEN = 1_000
GROWTH_BYTES_MAX = 100 << 20
LEAK_BYTES_MAX = 16 << 20
CONFIG = """
version: 1
sys_interval: 1s
limits: {connect_within: 1s, packet_within: 1s, connect_rate: 100000}
"""


@pytest.fixture
def gateway(tmp_path):
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG)
    with GatewayProcess(tmp_path / "log", config=config) as gateway:
        yield gateway


class Neighbour(threading.Thread):
    """A well-behaved client, which publishes one message after the other until it is stopped."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._client = connected(port, "neighbour")
        self._is_over = threading.Event()
        self.acks_ms: list[float] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._is_over.is_set():
                packet_id = len(self.acks_ms) % 65_535 + 1
                began_s = time.perf_counter()
                self._client.publish("plant/pump/state", b"%d" % packet_id, packet_id=packet_id)
                assert self._client.read_acks(1) == [packet_id]
                self.acks_ms.append((time.perf_counter() - began_s) * 1_000)
        except BaseException as error:  # noqa: BLE001 - the test raises it again
            self.error = error

    def finish(self) -> int:
        """Stop, and say how many acks came; every one did, or this raises."""
        self._is_over.set()
        self.join(30)
        self._client.close()
        if self.error is not None:
            raise self.error
        slowest = sorted(self.acks_ms)[-max(1, len(self.acks_ms) // 100)]
        print(f"{len(self.acks_ms)} acks, p99 {slowest:.1f} ms")
        return len(self.acks_ms)


def memory_bytes(gateway: GatewayProcess) -> int:
    fields = Path(f"/proc/{gateway.pid}/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize()


def figure(gateway: GatewayProcess, name: str) -> int:
    """One figure of `$SYS`, as it stands now."""
    with connected(gateway.port, "reader") as reader:
        reader.subscribe((f"$SYS/broker/{name}", 0))
        return int(reader.collect(1)[0].payload)


def attack(gateway: GatewayProcess, seed: int, count: int) -> list[str]:
    return asyncio.run(attack_all(gateway.port, attacks(seed, count)))


def test_every_attack_ends_as_it_must_and_the_others_notice_nothing(gateway):
    print("seed", SEED)
    assert asyncio.run(attack_all(gateway.port, VECTORS)) == []
    before_bytes = memory_bytes(gateway)
    neighbour = Neighbour(gateway.port)
    neighbour.start()
    complaints = attack(gateway, SEED, ATTACKS // 2)
    middle_bytes = memory_bytes(gateway)
    complaints += attack(gateway, SEED + 1, ATTACKS // 2)
    assert complaints == []
    assert neighbour.finish() > 0
    after_bytes = memory_bytes(gateway)
    print(f"{before_bytes >> 20} MiB, then {middle_bytes >> 20}, then {after_bytes >> 20}")
    assert max(middle_bytes, after_bytes) - before_bytes < GROWTH_BYTES_MAX
    assert after_bytes - middle_bytes < LEAK_BYTES_MAX
    # The reader is one of them.
    wait_for(lambda: figure(gateway, "penstock/connections") <= 2, "the attackers to be forgotten")
    assert figure(gateway, "penstock/clients/failed") > 0
    assert gateway.is_running
    assert "Traceback" not in gateway.output
    assert len(gateway.output) < 1 << 20


def test_the_vectors_are_attacks_of_every_outcome():
    assert sum(one.outcome == CLOSED and one.reason is not None for one in VECTORS) > 100
    assert sum(one.outcome == ANSWERED for one in VECTORS) > 20


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Attack("a ping", PING, V5, CLOSED), "it was not closed"),
        (Attack("rubbish", b"\xf8\x00", V5, CLOSED, 0x99), "it was told"),
        (Attack("rubbish", b"\x00\x00", V3, ANSWERED), "it was closed"),
        (Attack("silence", b"", V3, ANSWERED), "it was not answered"),
    ],
)
def test_the_crowd_sees_what_ends_wrongly(gateway, monkeypatch, wrong, says):
    monkeypatch.setattr(hostile_crowd, "PATIENCE_S", 0.5)
    (complaint,) = asyncio.run(attack_all(gateway.port, [wrong]))
    assert says in complaint


@pytest.mark.parametrize(
    "halves", ["nothing", "half a CONNECT", "half a packet", "a byte of length"]
)
def test_whoever_stops_halfway_is_closed(gateway, halves):
    sent = {
        "nothing": lambda: b"",
        "half a CONNECT": lambda: connect(V5)[:-1],
        "half a packet": lambda: connect(V5) + bytes.fromhex("32 40 00 03") + b"a/b",
        "a byte of length": lambda: connect(V3) + bytes.fromhex("30 ff"),
    }[halves]
    with ExitStack() as stack, connected(gateway.port, "neighbour") as neighbour:
        for _ in range(HALF_OPEN // 4):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), 10))
            half.sendall(sent())
        wait_for(lambda: figure(gateway, "penstock/connections") <= 2, "all of them to be closed")
        neighbour.publish("a/b", b"1", packet_id=1)
        assert neighbour.read_acks(1) == [1]


def test_a_flood_beyond_the_rate_is_refused_and_nobody_else_is(tmp_path):
    config = tmp_path / "gateway.yaml"
    config.write_text("version: 1\nlimits: {connect_rate: 20}\n")
    with (
        GatewayProcess(tmp_path / "log", config=config) as gateway,
        connected(gateway.port, "neighbour") as neighbour,
    ):
        told = asyncio.run(flood(gateway.port, 300))
        neighbour.publish("a/b", b"1", packet_id=1)
        assert neighbour.read_acks(1) == [1]
        assert told[0x9F] > 0
        assert sum(told.values()) == 300


async def flood(port: int, count: int) -> dict[int, int]:
    """So many CONNECTs of MQTT 5 at once; returns how many heard which code, -1 for silence."""
    codes: dict[int, int] = {}

    async def one() -> None:
        said = b""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(connect(V5))
            said = await asyncio.wait_for(reader.read(4), 15)
            writer.transport.abort()
        except ConnectionError:
            pass
        code = said[3] if len(said) == 4 else -1
        codes[code] = codes.get(code, 0) + 1

    await asyncio.gather(*(one() for _ in range(count)))
    return codes
