"""Clients that publish at a steady rate and time every ack, while others make a storm."""

from __future__ import annotations

import select
import sys
import time
from dataclasses import dataclass, field

from firmware_sim.failures import LoadFailed
from firmware_sim.load.options import StormLoad
from firmware_sim.load.packets import build_ring, device_topic
from firmware_sim.load.protocol import Watcher
from firmware_sim.load.sockets import open_client

RECEIVE_BYTES = 1 << 16
PUBACK_BYTES = 4
POLL_S_MAX = 0.005
DRAIN_S = 10.0


@dataclass(slots=True)
class SteadyMeasured:
    """When each message was sent (seconds of CLOCK_MONOTONIC), and how long its ack took."""

    sent_at_s: list[float] = field(default_factory=list)
    latencies_us: list[float] = field(default_factory=list)
    unacknowledged: int = 0


class Steady:
    """A few connections with messages at fixed times, acknowledged or not."""

    def __init__(self, load: StormLoad) -> None:
        self._sockets = [open_client(load, f"bench-steady-{one}") for one in range(load.steady)]
        self._rings = [
            build_ring(
                device_topic(one), window=1, payload_bytes=load.payload_bytes, seed=load.seed
            )
            for one in range(load.steady)
        ]
        self._sent_at_s: list[list[float]] = [[] for _ in self._sockets]
        self._acked_bytes = [0] * load.steady
        self._gap_s = 1.0 / (load.rate_hz * load.steady)
        self._epoll = select.epoll()
        self._number_by_fd = {one.fileno(): at for at, one in enumerate(self._sockets)}
        for fd in self._number_by_fd:
            self._epoll.register(fd, select.EPOLLIN)
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN)
        self._measured = SteadyMeasured()
        self._is_stopped = False

    def measure(self, watcher: Watcher) -> SteadyMeasured:
        """Publish until a line comes on the standard input; then wait for what is unacknowledged.

        Raises:
            LoadFailed: the server closed a connection.
        """
        watcher.measuring()
        due_s = time.monotonic()
        turn = 0
        while not self._is_stopped:
            now_s = time.monotonic()
            while due_s <= now_s:
                self._send(turn % len(self._sockets))
                turn += 1
                due_s += self._gap_s
            self._hear(max(0.0, min(POLL_S_MAX, due_s - time.monotonic())))
        until_s = time.monotonic() + DRAIN_S
        while time.monotonic() < until_s and len(self._measured.latencies_us) < turn:
            self._hear(POLL_S_MAX)
        self._measured.unacknowledged = turn - len(self._measured.latencies_us)
        return self._measured

    def _send(self, number: int) -> None:
        sent_at_s, ring = self._sent_at_s[number], self._rings[number]
        start = len(sent_at_s) % ring.packet_count * ring.packet_bytes
        try:
            self._sockets[number].sendall(ring.encoded[start : start + ring.packet_bytes])
        except OSError as error:
            raise LoadFailed(f"the server cut a steady client off: {error}") from error
        sent_at_s.append(time.monotonic())

    def _hear(self, wait_s: float) -> None:
        for fd, _ in self._epoll.poll(wait_s):
            number = self._number_by_fd.get(fd)
            if number is None:
                self._is_stopped = True
                self._epoll.unregister(fd)
                continue
            received = self._sockets[number].recv(RECEIVE_BYTES)
            if not received:
                raise LoadFailed("the server closed the connection of a steady client")
            now_s = time.monotonic()
            first = self._acked_bytes[number] // PUBACK_BYTES
            self._acked_bytes[number] += len(received)
            for sent_s in self._sent_at_s[number][first : self._acked_bytes[number] // 4]:
                self._measured.sent_at_s.append(sent_s)
                self._measured.latencies_us.append((now_s - sent_s) * 1e6)

    def close(self) -> None:
        for one in self._sockets:
            one.close()
        self._epoll.close()
