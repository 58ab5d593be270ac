"""The scenario `twins`: from a wish over MQTT to the delta at its device, beside the wish's ack.

One thread publishes wishes at a steady rate and hears both the acks and the deltas, so one clock
measures both. An ack is one commit; a delta is two, as the gateway decides about what is durable.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.servers import Penstock, ServerFailed, running
from firmware_sim.load import IngestLoad, quantile
from firmware_sim.load.packets import publish_packet
from firmware_sim.load.sockets import open_client, subscribe

WISHES_PER_S = 200
DEVICES = 50
P99_MS_MAX = 50.0
LATE_S_MAX = 10.0
READY_S_MAX = 30.0
READY_AGAIN_S = 0.1
PACKET_IDS = 0xFFFF
PUBACK_BYTES = 4
TOLD = re.compile(rb'"delta":\{"count":(\d+)\}\}')
CARRIED_BYTES = 64


@dataclass(slots=True)
class Heard:
    """When wishes were sent, acknowledged and told, each by its number."""

    sent_s: dict[int, float] = field(default_factory=dict)
    wished_s: dict[int, float] = field(default_factory=dict)
    acked_ms: list[float] = field(default_factory=list)
    told_ms: list[float] = field(default_factory=list)
    _acks: bytes = b""
    _deltas: bytes = b""

    def take_acks(self, received: bytes) -> None:
        """Note PUBACKs: four bytes each."""
        now_s = time.perf_counter()
        whole = self._acks + received
        stop = len(whole) // PUBACK_BYTES * PUBACK_BYTES
        self._acks = whole[stop:]
        for start in range(2, stop, PUBACK_BYTES):
            packet_id = int.from_bytes(whole[start : start + 2], "big")
            self.acked_ms.append(1_000 * (now_s - self.sent_s.pop(packet_id)))

    def take_deltas(self, received: bytes) -> None:
        """Note each delta where it is met first; the end is looked at again."""
        now_s = time.perf_counter()
        whole = self._deltas + received
        for match in TOLD.finditer(whole):
            wished_s = self.wished_s.pop(int(match[1]), None)
            if wished_s is not None:
                self.told_ms.append(1_000 * (now_s - wished_s))
        self._deltas = whole[-CARRIED_BYTES:]

    def forget(self) -> None:
        """Begin to measure."""
        self.acked_ms.clear()
        self.told_ms.clear()
        self.wished_s.clear()


class Drive:
    """An application that wishes, and one connection that listens for all devices."""

    def __init__(self, port: int) -> None:
        load = IngestLoad(port=port)
        self.heard = Heard()
        self._devices = open_client(load, "devices")
        for number in range(DEVICES):
            subscribe(self._devices, f"twin/d{number}/delta", 0)
        self._application = open_client(load, "application")
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._application, selectors.EVENT_READ, self.heard.take_acks)
        self._selector.register(self._devices, selectors.EVENT_READ, self.heard.take_deltas)
        self._count = 0

    def close(self) -> None:
        for one in (self._application, self._devices):
            one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._selector.close()

    def wish(self) -> None:
        """Change what is wanted of the next device."""
        self._count += 1
        packet_id = self._count % PACKET_IDS + 1
        payload = json.dumps({"count": self._count}).encode()
        packet = publish_packet(f"twin/d{self._count % DEVICES}/set", payload, packet_id)
        now_s = time.perf_counter()
        self.heard.sent_s[packet_id] = self.heard.wished_s[self._count] = now_s
        self._application.sendall(packet)

    def listen(self, until_s: float) -> None:
        """Hear what comes until then; look at least once."""
        while True:
            wait_s = max(0.0, until_s - time.perf_counter())
            for key, _ in self._selector.select(wait_s):
                received = key.fileobj.recv(1 << 16)  # type: ignore[union-attr] # both are sockets
                if not received:
                    raise ServerFailed("the gateway hung up")
                key.data(received)
            if wait_s == 0.0:
                return

    def await_service(self) -> None:
        """Wish until the service of twins, which starts behind the listeners, has told of one.

        Raises:
            ServerFailed: it told of none in time.
        """
        until_s = time.perf_counter() + READY_S_MAX
        while not self.heard.told_ms:
            if time.perf_counter() > until_s:
                raise ServerFailed(f"no delta within {READY_S_MAX:.0f} s")
            self.wish()
            self.listen(time.perf_counter() + READY_AGAIN_S)

    def run(self, seconds: float) -> None:
        """Wish at the rate; then wait for what is on its way."""
        started_s = time.perf_counter()
        for number in range(int(seconds * WISHES_PER_S)):
            self.listen(started_s + number / WISHES_PER_S)
            self.wish()
        until_s = time.perf_counter() + LATE_S_MAX
        while (self.heard.sent_s or self.heard.wished_s) and time.perf_counter() < until_s:
            self.listen(time.perf_counter() + 0.01)


@dataclass(frozen=True, slots=True)
class Latencies:
    """One round's figures."""

    ack_ms: list[float]
    delta_ms: list[float]
    missing: int


def run(plan: Plan) -> Report:
    """Measure round by round, and report the median of each figure."""
    rounds = []
    for round_no in range(plan.rounds):
        print(f"  round {round_no + 1} of {plan.rounds} ...", flush=True)
        rounds.append(measure(plan.directory, plan.load.measured_s))
    return build_report(plan, rounds)


def measure(directory: Path, seconds: float) -> Latencies:
    """One round with a gateway of its own."""
    with running(Penstock(), directory) as server:
        drive = Drive(server.port)
        try:
            drive.await_service()
            drive.run(min(1.0, seconds))
            drive.heard.forget()
            drive.run(seconds)
        finally:
            drive.close()
    heard = drive.heard
    return Latencies(
        sorted(heard.acked_ms), sorted(heard.told_ms), len(heard.wished_s) + len(heard.sent_s)
    )


def build_report(plan: Plan, rounds: list[Latencies]) -> Report:
    """The table: acks and deltas of the same wishes, and what the second is of the first."""
    figures = {
        "ack": [summary(one.ack_ms) for one in rounds],
        "delta": [summary(one.delta_ms) for one in rounds],
    }
    medians = {
        name: [statistics.median(column) for column in zip(*lines, strict=True)]
        for name, lines in figures.items()
    }
    ratios = [told / acked for told, acked in zip(medians["delta"], medians["ack"], strict=True)]
    p99_ms = medians["delta"][1]
    missing = sum(one.missing for one in rounds)
    rows = [(name, *(f"{value:.1f}" for value in values)) for name, values in medians.items()]
    return Report(
        "twins",
        f"{WISHES_PER_S} wishes/s for {DEVICES} devices; {plan.rounds} rounds of "
        f"{plan.load.measured_s:g} s, medians",
        ("from PUBLISH to", "p50 ms", "p99 ms", "max ms"),
        rows=[*rows, ("delta / ack", *(f"{ratio:.1f}" for ratio in ratios))],
        targets=[
            Target(
                f"p99 of the delta <= {P99_MS_MAX:g} ms, both fsyncs included",
                f"{p99_ms:.1f} ms",
                p99_ms <= P99_MS_MAX,
            ),
            Target("every wish acknowledged and told", f"{missing} missing", not missing),
        ],
        figures={**figures, "missing": missing},
    )


def summary(ordered_ms: list[float]) -> list[float]:
    """Median, 99th percentile and maximum."""
    if not ordered_ms:
        raise ServerFailed("nothing was heard")
    return [quantile(ordered_ms, 0.5), quantile(ordered_ms, 0.99), ordered_ms[-1]]
