"""Two clients with one identifier: reported, and slowed down until they cost next to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from pathlib import Path

import pytest

from tests.faults.attacks import V5, connect
from tests.harness.gateway_process import GatewayProcess
from tests.harness.raw_client import connected
from tests.harness.waiting import until

CONFIG = """
version: 1
sys_interval: 1s
limits: {flapping: {takeovers: 10, within: 10s, delay: 1s}}
"""
FLAPPING = "$SYS/broker/penstock/flapping"
TAKEOVERS = "$SYS/broker/penstock/clients/takeovers"


@pytest.fixture
def gateway(tmp_path):
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG)
    with GatewayProcess(tmp_path / "log", config=config) as gateway:
        yield gateway


async def fight(port: int) -> None:
    """Connect, and whenever somebody else takes over, take over in turn; for ever."""
    while True:
        with contextlib.suppress(ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(connect(V5, "pump"))
                while await reader.read(1_000):
                    pass
            finally:
                writer.transport.abort()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Watcher:
    """Reads figures of `$SYS`, and remembers the last of each."""

    def __init__(self, port: int) -> None:
        self._client = connected(port, "watcher")
        self._client.subscribe((FLAPPING, 0), (TAKEOVERS, 0))
        self.figures: dict[str, bytes] = {}

    def look(self, topic: str) -> bytes:
        while self._client.has_packet():
            (delivery,) = self._client.collect(1)
            self.figures[delivery.topic] = delivery.payload
        return self.figures.get(topic, b"0")

    def close(self) -> None:
        self._client.close()

    def takeovers(self) -> int:
        return int(self.look(TAKEOVERS))

    def contested(self) -> list[dict[str, object]]:
        return json.loads(self.look(FLAPPING)) or []


async def test_a_fight_is_told_with_both_addresses_and_then_changes_hands_slowly(gateway):
    watcher = Watcher(gateway.port)
    fighters = [asyncio.create_task(fight(gateway.port)) for _ in range(2)]
    try:
        (notice,) = await until(watcher.contested, "the notice", seconds=30)
        assert notice["client_id"] == "pump"
        assert len(set(notice["addresses"])) == 2
        await until(lambda: watcher.takeovers() > 10, "the takeovers before the notice")
        before, began_s, began_cpu_s = watcher.takeovers(), time.monotonic(), cpu_s(gateway.pid)
        await until(lambda: watcher.takeovers() > before + 2, "some takeovers", seconds=60)
        elapsed_s = time.monotonic() - began_s
        print(f"{(cpu_s(gateway.pid) - began_cpu_s) / elapsed_s:.1%} of a core")
        # The figure is told once a second, and at most one newcomer is let in a second.
        assert watcher.takeovers() - before <= elapsed_s + 2
    finally:
        for fighter in fighters:
            fighter.cancel()
        await asyncio.gather(*fighters, return_exceptions=True)
        watcher.close()
    warnings = [line for line in gateway.output.splitlines() if "is used by two clients" in line]
    assert len(warnings) == 1
    assert warnings[0].count("127.0.0.1:") == 2


def test_clients_that_come_back_and_take_over_now_and_then_are_no_fight(gateway):
    for _ in range(10):
        with connected(gateway.port, "patient"), connected(gateway.port, "patient", clean=False):
            pass
    assert "is used by two clients" not in gateway.output
