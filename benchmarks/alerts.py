"""The scenario `alert-latency`: from PUBLISH to the alert on the wire, beside the event's own ack.

One thread publishes at a steady rate and hears both the acks and the alerts, so one clock measures
both. Every so many events one is too hot, each of another device, and raises an alarm.
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

EVENTS_PER_S = 2_000
EVENTS_PER_ALERT = 20
DEVICES = 100
P99_MS_MAX = 50.0
LATE_S_MAX = 10.0
READY_S_MAX = 30.0
PACKET_IDS = 0xFFFF
PUBACK_BYTES = 4
HOT = re.compile(rb"alerts/hot/(h\d+)")
CARRIED_BYTES = 64
RULE_COUNT = 20
RULE = """\
  - id: {name}
    from: bench/+/reading
    key: device
    when: payload.temperature > {limit}
    alarm: {{severity: major, message: "too hot"}}
"""


class PenstockWithRules(Penstock):
    """The gateway with twenty threshold rules, one of which raises alarms here."""

    def command(self, directory: Path, port: int) -> list[str]:
        rules = directory / "hot.yaml"
        names = ["hot", *(f"never-{number}" for number in range(1, RULE_COUNT))]
        texts = [
            RULE.format(name=name, limit=90 + 1_000 * number) for number, name in enumerate(names)
        ]
        rules.write_text("version: 1\nrules:\n" + "".join(texts))
        return [*super().command(directory, port), "--rules", str(rules)]


@dataclass(slots=True)
class Heard:
    """When events were sent and acknowledged, and when alerts came, each by its name."""

    sent_s: dict[int, float] = field(default_factory=dict)
    acked_ms: list[float] = field(default_factory=list)
    hot_s: dict[bytes, float] = field(default_factory=dict)
    alerted_ms: list[float] = field(default_factory=list)
    _acks: bytes = b""
    _alerts: bytes = b""

    def take_acks(self, received: bytes) -> None:
        """Note PUBACKs: four bytes each."""
        now_s = time.perf_counter()
        whole = self._acks + received
        stop = len(whole) // PUBACK_BYTES * PUBACK_BYTES
        self._acks = whole[stop:]
        for start in range(2, stop, PUBACK_BYTES):
            packet_id = int.from_bytes(whole[start : start + 2], "big")
            self.acked_ms.append(1_000 * (now_s - self.sent_s.pop(packet_id)))

    def take_alerts(self, received: bytes) -> None:
        """Note each alert where its topic is met first; the end is looked at again."""
        now_s = time.perf_counter()
        whole = self._alerts + received
        for match in HOT.finditer(whole):
            if match.end() == len(whole):
                break
            sent_s = self.hot_s.pop(match[1], None)
            if sent_s is not None:
                self.alerted_ms.append(1_000 * (now_s - sent_s))
        self._alerts = whole[-CARRIED_BYTES:]


class Drive:
    """One connection that publishes and one that hears alerts."""

    def __init__(self, port: int) -> None:
        load = IngestLoad(port=port)
        self.heard = Heard()
        self._listener = open_client(load, "listener")
        subscribe(self._listener, "alerts/hot/#", 0)
        self._publisher = open_client(load, "publisher")
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._publisher, selectors.EVENT_READ, self.heard.take_acks)
        self._selector.register(self._listener, selectors.EVENT_READ, self.heard.take_alerts)
        self._count = 0

    def close(self) -> None:
        for one in (self._publisher, self._listener):
            one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._selector.close()

    def send(self, *, is_hot: bool) -> None:
        """Publish the next event."""
        self._count += 1
        packet_id = self._count % PACKET_IDS + 1
        device = f"h{self._count}" if is_hot else f"d{self._count % DEVICES}"
        temperature = 95.0 if is_hot else 21.5
        payload = json.dumps({"temperature": temperature, "count": self._count}).encode()
        packet = publish_packet(f"bench/{device}/reading", payload, packet_id)
        now_s = time.perf_counter()
        self.heard.sent_s[packet_id] = now_s
        if is_hot:
            self.heard.hot_s[device.encode()] = now_s
        self._publisher.sendall(packet)

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

    def await_rules(self) -> None:
        """Make one device hot after the other until the rules, which start last, have seen one.

        Raises:
            ServerFailed: they saw none in time.
        """
        until_s = time.perf_counter() + READY_S_MAX
        while not self.heard.alerted_ms:
            if time.perf_counter() > until_s:
                raise ServerFailed(f"no alert within {READY_S_MAX:.0f} s")
            self.send(is_hot=True)
            self.listen(time.perf_counter() + 0.1)

    def run(self, seconds: float) -> None:
        """Publish at the rate; then wait for what is on its way."""
        started_s = time.perf_counter()
        for number in range(int(seconds * EVENTS_PER_S)):
            self.listen(started_s + number / EVENTS_PER_S)
            self.send(is_hot=number % EVENTS_PER_ALERT == 0)
        until_s = time.perf_counter() + LATE_S_MAX
        while (self.heard.sent_s or self.heard.hot_s) and time.perf_counter() < until_s:
            self.listen(time.perf_counter() + 0.01)


@dataclass(frozen=True, slots=True)
class Latencies:
    """One round's figures."""

    ack_ms: list[float]
    alert_ms: list[float]
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
    with running(PenstockWithRules(), directory) as server:
        drive = Drive(server.port)
        try:
            drive.await_rules()
            drive.run(min(1.0, seconds))
            drive.heard.acked_ms.clear()
            drive.heard.alerted_ms.clear()
            drive.heard.hot_s.clear()
            drive.run(seconds)
        finally:
            drive.close()
    heard = drive.heard
    return Latencies(
        sorted(heard.acked_ms), sorted(heard.alerted_ms), len(heard.hot_s) + len(heard.sent_s)
    )


def build_report(plan: Plan, rounds: list[Latencies]) -> Report:
    """The table: acks and alerts of the same events."""
    figures = {
        "ack": [summary(one.ack_ms) for one in rounds],
        "alert": [summary(one.alert_ms) for one in rounds],
    }
    medians = {
        name: [statistics.median(column) for column in zip(*lines, strict=True)]
        for name, lines in figures.items()
    }
    p99_ms = medians["alert"][1]
    missing = sum(one.missing for one in rounds)
    return Report(
        "alert-latency",
        f"{EVENTS_PER_S} events/s over one connection, {RULE_COUNT} rules, one alert in "
        f"{EVENTS_PER_ALERT} events; {plan.rounds} rounds of {plan.load.measured_s:g} s, medians",
        ("from PUBLISH to", "p50 ms", "p99 ms", "max ms"),
        rows=[(name, *(f"{value:.1f}" for value in values)) for name, values in medians.items()],
        targets=[
            Target(
                f"p99 of the alert <= {P99_MS_MAX:g} ms, fsync included",
                f"{p99_ms:.1f} ms",
                p99_ms <= P99_MS_MAX,
            ),
            Target(
                "every event acknowledged, every alert heard", f"{missing} missing", not missing
            ),
        ],
        figures={**figures, "missing": missing},
    )


def summary(ordered_ms: list[float]) -> list[float]:
    """Median, 99th percentile and maximum."""
    if not ordered_ms:
        raise ServerFailed("nothing was heard")
    return [quantile(ordered_ms, 0.5), quantile(ordered_ms, 0.99), ordered_ms[-1]]
