"""The load generator: one process, one epoll loop, as little work a message as Python allows.

It keeps `window` messages in flight on each connection. A PUBACK of MQTT 3.1.1 has always four
bytes, so acks are counted by dividing bytes; what is sent next is a slice of a ring that was
encoded before. Every connection follows one message at a time from its send to its ack: these are
the latency samples.

When many messages are in flight it sleeps for PAUSE_S between two looks at its sockets. A process
that sleeps is not woken by each ack that a server writes by itself, which would cost that server
more than the ack does; and a server of several threads needs the core. What this adds to a latency
of tens of milliseconds is the pause.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import sys
import time
from dataclasses import asdict

from benchmarks.ingest.load import Load, Measured
from benchmarks.ingest.packets import (
    CONNACK_ACCEPTED,
    FIRST_BYTE,
    PUBACK_BYTES,
    build_ring,
    connect_packet,
)

CONNECT_S_MAX = 10.0
DRAIN_S_MAX = 20.0
POLL_S_MAX = 0.1
RECEIVE_BYTES = 1 << 16
READY, MEASURING, MEASURED = "ready", "measuring", "measured"
PAUSE_S = 0.0005
WINDOW_WITHOUT_PAUSE_MAX = 8


class LoadFailed(RuntimeError):
    """The server closed a connection, refused one, or answered with something that is no PUBACK."""


def require_acks(publisher: Publisher, received: bytearray) -> None:
    """Look closely at an answer that the hot loop found odd; part of a PUBACK is well.

    Raises:
        LoadFailed: the connection was closed, or the next packet in it is no PUBACK.
    """
    start = -publisher.acked_bytes % PUBACK_BYTES
    if not received:
        raise LoadFailed("the server closed a connection under load")
    if received[start : start + 1] not in (b"", bytes([FIRST_BYTE])):
        raise LoadFailed(f"the server answered a PUBLISH with {received[start:].hex(' ')[:60]}")


class Publisher:
    """One connection: where it stands in its ring, and the message whose ack it times."""

    __slots__ = (
        "acked_bytes", "packet_bytes", "ring_count", "sample_at", "sample_due", "sampled_ns",
        "sent", "socket", "unsent", "view", "window",
    )  # fmt: skip

    def __init__(self, load: Load, number: int) -> None:
        ring = build_ring(
            number, window=load.window, payload_bytes=load.payload_bytes, seed=load.seed
        )
        self.view = memoryview(ring.encoded)
        self.packet_bytes = ring.packet_bytes
        self.ring_count = ring.packet_count
        self.window = load.window
        self.sent = 0
        self.acked_bytes = 0
        self.sample_due = 0
        self.sample_at = 0
        self.sampled_ns = 0
        self.unsent: memoryview | None = None
        self.socket = socket.create_connection((load.host, load.port), timeout=CONNECT_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(connect_packet(f"bench-{number}"))
        answer = self.socket.recv(4, socket.MSG_WAITALL)
        if answer != CONNACK_ACCEPTED:
            raise LoadFailed(f"CONNECT was answered with '{answer.hex(' ')}'")
        self.socket.settimeout(0)

    @property
    def in_flight(self) -> int:
        return self.sent - self.acked_bytes // PUBACK_BYTES

    def send_next(self) -> bool:
        """Fill the window again; True when the socket took everything."""
        if self.unsent is not None:
            block = self.unsent
        else:
            count = self.window - self.sent + (self.acked_bytes >> 2)
            if count <= 0:
                return True
            start = self.sent % self.ring_count * self.packet_bytes
            block = self.view[start : start + count * self.packet_bytes]
            if self.sample_due <= self.acked_bytes:
                # The place within the block moves, so that none is preferred.
                self.sample_at = self.sample_at % count + 1
                self.sample_due = (self.sent + self.sample_at) * PUBACK_BYTES
                self.sampled_ns = time.perf_counter_ns()
            self.sent += count
        try:
            taken = self.socket.send(block)
        except BlockingIOError:
            taken = 0
        self.unsent = None if taken == len(block) else block[taken:]
        return self.unsent is None


class Generator:
    """All connections of one process and the loop that drives them."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.publishers = [Publisher(load, number) for number in range(load.connections)]
        self._by_fd = {publisher.socket.fileno(): publisher for publisher in self.publishers}
        self._epoll = select.epoll()
        for fd in self._by_fd:
            self._epoll.register(fd, select.EPOLLIN)
        self._buffer = bytearray(RECEIVE_BYTES)
        self._latencies_ns: list[int] = []

    @property
    def acked(self) -> int:
        return sum(publisher.acked_bytes for publisher in self.publishers) // PUBACK_BYTES

    def measure(self) -> Measured:
        """Warm up, measure, then let everything in flight be acknowledged."""
        gc.disable()
        for publisher in self.publishers:
            self._refill(publisher)
        self._drive(self.load.warm_up_s)
        self._latencies_ns.clear()
        print(MEASURING, flush=True)
        acked, started_s, cpu_s = self.acked, time.perf_counter(), time.process_time()
        self._drive(self.load.measured_s)
        measured = Measured(
            messages=self.acked - acked,
            seconds=time.perf_counter() - started_s,
            generator_cpu_s=time.process_time() - cpu_s,
            latencies_us=[ns / 1000 for ns in self._latencies_ns],
        )
        print(MEASURED, flush=True)
        measured.unacknowledged = self._drain()
        return measured

    def _refill(self, publisher: Publisher) -> None:
        interest = select.EPOLLIN
        if not publisher.send_next():
            interest |= select.EPOLLOUT
        self._epoll.modify(publisher.socket.fileno(), interest)

    def _drive(self, seconds: float) -> None:  # noqa: C901 - the hot loop
        """Answer every ack with the next message for `seconds`; the names are local for speed."""
        by_fd, poll, buffer = self._by_fd, self._epoll.poll, self._buffer
        latencies_ns, now_ns = self._latencies_ns, time.perf_counter_ns
        is_prompt = self.load.window <= WINDOW_WITHOUT_PAUSE_MAX
        until_ns = now_ns() + int(seconds * 1e9)
        while now_ns() < until_ns:
            if not is_prompt:
                time.sleep(PAUSE_S)
            for fd, events in poll(POLL_S_MAX):
                publisher = by_fd[fd]
                if events & select.EPOLLOUT:
                    self._refill(publisher)
                if not events & ~select.EPOLLOUT:
                    continue
                received = publisher.socket.recv_into(buffer)
                if received < PUBACK_BYTES or buffer[-publisher.acked_bytes & 3] != FIRST_BYTE:
                    require_acks(publisher, buffer[:received])
                publisher.acked_bytes += received
                if publisher.sampled_ns and publisher.sample_due <= publisher.acked_bytes:
                    latencies_ns.append(now_ns() - publisher.sampled_ns)
                    publisher.sampled_ns = 0
                if not publisher.send_next():
                    self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT)

    def _drain(self) -> int:
        """Send no more, and wait for the acks that are due; returns how many never came."""
        until_s = time.perf_counter() + DRAIN_S_MAX
        while time.perf_counter() < until_s and any(p.in_flight for p in self.publishers):
            for fd, events in self._epoll.poll(POLL_S_MAX):
                publisher = self._by_fd[fd]
                if publisher.unsent is not None:
                    publisher.send_next()
                elif events & select.EPOLLOUT:
                    self._epoll.modify(fd, select.EPOLLIN)
                if events & ~select.EPOLLOUT:
                    received = publisher.socket.recv_into(self._buffer)
                    if not received:
                        raise LoadFailed("the server closed a connection with messages in flight")
                    publisher.acked_bytes += received
        return sum(publisher.in_flight for publisher in self.publishers)

    def close(self) -> None:
        for publisher in self.publishers:
            publisher.socket.close()
        self._epoll.close()


def main() -> None:
    """Read a load as JSON from the command line, say `ready`, wait for a line, measure, report."""
    generator = Generator(Load(**json.loads(sys.argv[1])))
    print(READY, flush=True)
    sys.stdin.readline()
    measured = generator.measure()
    generator.close()
    print(json.dumps(asdict(measured)), flush=True)


if __name__ == "__main__":
    main()
