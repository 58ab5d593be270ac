"""The load `ingest`: one process, one epoll loop, every window full.

When many messages are in flight it sleeps for PAUSE_S between two looks at its sockets. A process
that sleeps is not woken by each ack that a server writes by itself, which would cost that server
more than the ack does; and a server of several threads needs the core. What this adds to a latency
of tens of milliseconds is the pause.
"""

from __future__ import annotations

import gc
import select
import time

from firmware_sim.load.options import IngestLoad, IngestMeasured
from firmware_sim.load.packets import Ring, build_ring, device_topic
from firmware_sim.load.protocol import Watcher
from firmware_sim.load.publisher import Publisher
from gateway.mqtt import ProtocolVersion

DRAIN_S_MAX = 20.0
POLL_S_MAX = 0.1
RECEIVE_BYTES = 1 << 16
PAUSE_S = 0.0005
WINDOW_WITHOUT_PAUSE_MAX = 8
SHOW_EVERY_S = 1.0


class Ingest:
    """All connections of one process and the loop that drives them."""

    def __init__(self, load: IngestLoad) -> None:
        self.load = load
        version = ProtocolVersion.V5 if load.with_properties else ProtocolVersion.V3_1_1
        self.publishers = [
            Publisher(load, f"bench-{number}", self._ring(number), load.window, version)
            for number in range(load.connections)
        ]
        self._by_fd = {publisher.socket.fileno(): publisher for publisher in self.publishers}
        self._epoll = select.epoll()
        for fd in self._by_fd:
            self._epoll.register(fd, select.EPOLLIN)
        self._buffer = bytearray(RECEIVE_BYTES)

    def _ring(self, number: int) -> Ring:
        load = self.load
        return build_ring(
            device_topic(number),
            window=load.window,
            payload_bytes=load.payload_bytes,
            seed=load.seed,
            with_properties=load.with_properties,
        )

    @property
    def acked(self) -> int:
        return sum(publisher.acked for publisher in self.publishers)

    def measure(self, watcher: Watcher) -> IngestMeasured:
        """Warm up, measure, then let everything in flight be acknowledged.

        Raises:
            LoadFailed: the server did not hold out.
        """
        gc.disable()
        for publisher in self.publishers:
            self._refill(publisher)
        self._drive(self.load.warm_up_s)
        for publisher in self.publishers:
            publisher.latencies_ns.clear()
        watcher.measuring()
        acked, started_s, cpu_s = self.acked, time.perf_counter(), time.process_time()
        until_s = started_s + self.load.measured_s
        while (left_s := until_s - time.perf_counter()) > 0:
            before = self.acked
            self._drive(min(SHOW_EVERY_S, left_s))
            watcher.show({"messages": self.acked - acked, "messages_per_s": self.acked - before})
        latencies = (ns for publisher in self.publishers for ns in publisher.latencies_ns)
        measured = IngestMeasured(
            messages=self.acked - acked,
            seconds=time.perf_counter() - started_s,
            generator_cpu_s=time.process_time() - cpu_s,
            latencies_us=[ns / 1000 for ns in latencies],
        )
        watcher.measured()
        measured.unacknowledged = self._drain()
        gc.enable()
        return measured

    def _refill(self, publisher: Publisher) -> None:
        interest = select.EPOLLIN
        if not publisher.send_next():
            interest |= select.EPOLLOUT
        self._epoll.modify(publisher.socket.fileno(), interest)

    def _drive(self, seconds: float) -> None:
        """Answer every ack with the next message for `seconds`; the names are local for speed."""
        by_fd, poll, buffer = self._by_fd, self._epoll.poll, self._buffer
        pause_s = 0.0 if self.load.window <= WINDOW_WITHOUT_PAUSE_MAX else PAUSE_S
        until_s = time.perf_counter() + seconds
        while time.perf_counter() < until_s:
            if pause_s:
                time.sleep(pause_s)
            for fd, events in poll(POLL_S_MAX):
                publisher = by_fd[fd]
                if events & select.EPOLLOUT:
                    self._refill(publisher)
                if events & ~select.EPOLLOUT:
                    publisher.hear(buffer)
                    if not publisher.send_next():
                        self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT)

    def _drain(self) -> int:
        """Send no more, and wait for the acks that are due; returns how many never came."""
        until_s = time.perf_counter() + DRAIN_S_MAX
        while time.perf_counter() < until_s and any(one.in_flight for one in self.publishers):
            for fd, events in self._epoll.poll(POLL_S_MAX):
                publisher = self._by_fd[fd]
                if publisher.send_rest() and events & select.EPOLLOUT:
                    self._epoll.modify(fd, select.EPOLLIN)
                if events & ~select.EPOLLOUT:
                    publisher.hear(self._buffer)
        return sum(publisher.in_flight for publisher in self.publishers)

    def close(self) -> None:
        for publisher in self.publishers:
            publisher.socket.close()
        self._epoll.close()
