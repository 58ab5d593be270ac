"""The load `drain`: a durable session comes back to what it has missed, while others publish on.

First a client subscribes and leaves; then the events that it misses are published, as fast as the
server takes them; then it comes back, and gets them in order while a background load goes on.
"""

from __future__ import annotations

import gc
import select
import time

from firmware_sim.failures import LoadFailed
from firmware_sim.load.fanout import ALL_TOPICS, RECEIVE_BYTES, Subscriber
from firmware_sim.load.options import DrainLoad, DrainMeasured
from firmware_sim.load.packets import DISCONNECT, Ring, build_ring, device_topic
from firmware_sim.load.protocol import Watcher
from firmware_sim.load.publisher import Publisher
from firmware_sim.load.sockets import open_client, subscribe

CLIENT_ID = "bench-away"
POLL_S_MAX = 0.01
SHOW_EVERY_S = 1.0
QOS_1 = 1
BACKGROUND_TOPIC = "background/device/telemetry"
DEVICE_AT = slice(len("bench/device-"), len("bench/device-") + 5)
SEQUENCE_AT = slice(len('{"seq":'), len('{"seq":') + 6)
FIRST_SEQUENCE = 100_000


class OrderCheck:
    """Sees that every device's messages come in the order in which its ring holds them."""

    def __init__(self, packet_bytes: int, payload_bytes: int, ring_count: int) -> None:
        self._packet_bytes = packet_bytes
        self._payload_at = packet_bytes - payload_bytes
        self._topic_at = self._payload_at - 2 - len(device_topic(0))
        self._ring_count = ring_count
        self._next_by_device: dict[bytes, int] = {}
        self.disordered = 0

    def take(self, packets: bytes) -> None:
        """Look at whole packets."""
        device_at = self._topic_at + DEVICE_AT.start
        sequence_at = self._payload_at + SEQUENCE_AT.start
        next_by_device = self._next_by_device
        for start in range(0, len(packets), self._packet_bytes):
            device = packets[start + device_at : start + device_at + 5]
            sequence = int(packets[start + sequence_at : start + sequence_at + 6]) - FIRST_SEQUENCE
            if next_by_device.get(device, 0) != sequence:
                self.disordered += 1
            next_by_device[device] = (sequence + 1) % self._ring_count


class Drain:
    """The subscriber, those who fill its log, and one who publishes on meanwhile."""

    def __init__(self, load: DrainLoad) -> None:
        self.load = load
        away = open_client(load, CLIENT_ID, is_clean=False)
        subscribe(away, ALL_TOPICS, QOS_1)
        away.sendall(DISCONNECT)
        away.close()
        self._publishers = [
            Publisher(load, f"bench-{number}", self._ring(device_topic(number)), load.window)
            for number in range(load.publishers)
        ]
        background = self._ring(BACKGROUND_TOPIC)
        self._ring_count = background.packet_count
        self._background = Publisher(load, "bench-background", background, load.window)
        self._buffer = bytearray(RECEIVE_BYTES)

    def _ring(self, topic: str) -> Ring:
        load = self.load
        return build_ring(
            topic, window=load.window, payload_bytes=load.payload_bytes, seed=load.seed
        )

    def measure(self, watcher: Watcher) -> DrainMeasured:
        """Publish what is to be missed, come back, and time it until the last message.

        Raises:
            LoadFailed: not everything came within `give_up_s`.
        """
        gc.disable()
        self._fill(watcher)
        missed = sum(publisher.sent for publisher in self._publishers)
        for publisher in self._publishers:
            publisher.socket.close()
        watcher.measuring()
        started_s = time.perf_counter()
        opened = open_client(self.load, CLIENT_ID, is_clean=False)
        subscriber = Subscriber(opened, self.load.payload_bytes, QOS_1)
        check = OrderCheck(subscriber.packet_bytes, self.load.payload_bytes, self._ring_count)
        subscriber.on_packets = check.take
        self._receive(subscriber, missed, watcher)
        measured = DrainMeasured(
            missed=missed,
            delivered=subscriber.received,
            disordered=check.disordered,
            seconds=time.perf_counter() - started_s,
            background=self._background.acked,
        )
        watcher.measured()
        opened.close()
        gc.enable()
        return measured

    def _fill(self, watcher: Watcher) -> None:
        """Publish until as much as asked for is acknowledged, and nothing is in flight."""
        by_fd = {publisher.socket.fileno(): publisher for publisher in self._publishers}
        epoll = select.epoll()
        for fd, publisher in by_fd.items():
            publisher.send_next()
            epoll.register(fd, select.EPOLLIN | select.EPOLLOUT)
        show_at_s = time.perf_counter()
        while True:
            acked = sum(publisher.acked for publisher in self._publishers)
            sent = sum(publisher.sent for publisher in self._publishers)
            if sent >= self.load.missed and acked == sent:
                break
            if time.perf_counter() > show_at_s:
                show_at_s += SHOW_EVERY_S
                watcher.show({"published": acked})
            for fd, events in epoll.poll(POLL_S_MAX):
                publisher = by_fd[fd]
                if events & ~select.EPOLLOUT:
                    publisher.hear(self._buffer)
                publisher.send_next() if sent < self.load.missed else publisher.send_rest()
            time.sleep(0.001)
        epoll.close()

    def _receive(self, subscriber: Subscriber, missed: int, watcher: Watcher) -> None:
        """Take everything that was missed; publish on at a steady rate meanwhile."""
        epoll = select.epoll()
        epoll.register(subscriber.socket.fileno(), select.EPOLLIN)
        epoll.register(self._background.socket.fileno(), select.EPOLLIN)
        started_s = time.perf_counter()
        show_at_s = started_s + SHOW_EVERY_S
        while subscriber.received < missed:
            now_s = time.perf_counter()
            if now_s - started_s > self.load.give_up_s:
                raise LoadFailed(f"{missed - subscriber.received} messages did not come in time")
            if now_s > show_at_s:
                show_at_s += SHOW_EVERY_S
                watcher.show({"delivered": subscriber.received})
            self._publish_on(now_s - started_s)
            for fd, _ in epoll.poll(POLL_S_MAX):
                if fd == subscriber.socket.fileno():
                    while not subscriber.hear(self._buffer):
                        time.sleep(0.001)
                else:
                    self._background.hear(self._buffer)
        epoll.close()

    def _publish_on(self, elapsed_s: float) -> None:
        background = self._background
        due = int(elapsed_s * self.load.background_hz) - background.sent
        background.window = min(self.load.window, background.in_flight + max(0, due))
        background.send_next()

    def close(self) -> None:
        self._background.socket.close()
