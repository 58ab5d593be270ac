"""The load `fanout`: publishers with full windows, and subscribers that each get every message.

Publishing ends after its time; the clock stops with the last delivery. So a server that takes in
more than it gives out is not rewarded for it.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from collections.abc import Callable

from firmware_sim.failures import LoadFailed
from firmware_sim.load.options import FanoutLoad, FanoutMeasured
from firmware_sim.load.packets import (
    PUBLISH_QOS_0,
    PUBLISH_QOS_1,
    build_ring,
    delivered_bytes,
    device_topic,
)
from firmware_sim.load.protocol import Watcher
from firmware_sim.load.publisher import Publisher
from firmware_sim.load.sockets import open_client, subscribe
from firmware_sim.runtime import allow_connections

RECEIVE_BYTES = 1 << 18
POLL_S_MAX = 0.1
PAUSE_S = 0.0005
SILENCE_S_MAX = 3.0
SHOW_EVERY_S = 1.0
ALL_TOPICS = "bench/#"


class Subscriber:
    """One connection that counts what it gets, and acknowledges it when that is asked for.

    Every message has the same length, so whole columns of packet identifiers are cut out of what
    was received, and put into the acks, by slices with a stride.
    """

    __slots__ = (
        "_id_at", "_rest", "_unsent", "first_byte", "on_packets", "packet_bytes", "received",
        "socket",
    )  # fmt: skip

    def __init__(self, opened: socket.socket, payload_bytes: int, qos: int) -> None:
        """`opened` is a connection that has its subscription already."""
        self.packet_bytes = delivered_bytes(device_topic(0), payload_bytes, qos)
        self.first_byte = PUBLISH_QOS_1 if qos else PUBLISH_QOS_0
        self._id_at = self.packet_bytes - payload_bytes - 2
        self._rest = b""
        self._unsent = b""
        self.received = 0
        self.on_packets: Callable[[bytes], None] | None = None
        self.socket = opened
        self.socket.settimeout(0)

    def hear(self, buffer: bytearray) -> bool:
        """Take what has come; False while acks wait that the socket did not take.

        Raises:
            LoadFailed: the connection was closed, or something else than the load's messages came.
        """
        try:
            size = self.socket.recv_into(buffer)
        except BlockingIOError:
            return self.send_rest()
        except OSError as error:
            raise LoadFailed(f"the server cut a subscriber off: {error.strerror}") from error
        if not size:
            raise LoadFailed("the server closed the connection of a subscriber")
        data = self._rest + buffer[:size]
        whole = len(data) // self.packet_bytes
        end = whole * self.packet_bytes
        self._rest = bytes(data[end:])
        firsts = data[0 : end : self.packet_bytes]
        if firsts.count(self.first_byte) != whole:
            raise LoadFailed(f"a subscriber was sent {bytes(data[:40]).hex(' ')} …")
        self.received += whole
        if self.on_packets is not None:
            self.on_packets(bytes(data[:end]))
        if self.first_byte == PUBLISH_QOS_1 and whole:
            self._unsent += self._acks(data, end, whole)
        return self.send_rest()

    def _acks(self, data: bytes | bytearray, end: int, whole: int) -> bytes:
        acks = bytearray(4 * whole)
        acks[0::4] = b"\x40" * whole
        acks[1::4] = b"\x02" * whole
        acks[2::4] = data[self._id_at : end : self.packet_bytes]
        acks[3::4] = data[self._id_at + 1 : end : self.packet_bytes]
        return bytes(acks)

    def send_rest(self) -> bool:
        """Send the acks that wait; True when none does any more."""
        if self._unsent:
            try:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
            except BlockingIOError:
                return False
            except OSError as error:
                raise LoadFailed(f"the server cut a subscriber off: {error.strerror}") from error
        return not self._unsent


class Fanout:
    """The clients of both sides and the loop that drives them."""

    def __init__(self, load: FanoutLoad) -> None:
        self.load = load
        allow_connections(load.subscribers + load.publishers)
        self.subscribers = [self._subscriber(number) for number in range(load.subscribers)]
        self.publishers = [self._publisher(number) for number in range(load.publishers)]
        self._publishers_by_fd = {one.socket.fileno(): one for one in self.publishers}
        self._subscribers_by_fd = {one.socket.fileno(): one for one in self.subscribers}
        self._epoll = select.epoll()
        for fd in (*self._publishers_by_fd, *self._subscribers_by_fd):
            self._epoll.register(fd, select.EPOLLIN)
        self._buffer = bytearray(RECEIVE_BYTES)
        self._last_delivery_s = 0.0

    def _subscriber(self, number: int) -> Subscriber:
        opened = open_client(self.load, f"bench-subscriber-{number}")
        subscribe(opened, ALL_TOPICS, self.load.qos)
        return Subscriber(opened, self.load.payload_bytes, self.load.qos)

    def _publisher(self, number: int) -> Publisher:
        load = self.load
        ring = build_ring(
            device_topic(number),
            window=load.window,
            payload_bytes=load.payload_bytes,
            seed=load.seed,
        )
        return Publisher(load, f"bench-{number}", ring, load.window)

    @property
    def acked(self) -> int:
        return sum(publisher.acked for publisher in self.publishers)

    @property
    def delivered(self) -> int:
        return sum(subscriber.received for subscriber in self.subscribers)

    def measure(self, watcher: Watcher) -> FanoutMeasured:
        """Warm up and let that be delivered; then measure.

        Raises:
            LoadFailed: the server did not hold out.
        """
        gc.disable()
        self._publish(self.load.warm_up_s, None)
        self._settle()
        watcher.measuring()
        published, delivered = self.acked, self.delivered
        started_s, cpu_s = time.perf_counter(), time.process_time()
        self._publish(self.load.measured_s, watcher)
        self._settle()
        published, delivered = self.acked - published, self.delivered - delivered
        measured = FanoutMeasured(
            published=published,
            delivered=delivered,
            lost=published * len(self.subscribers) - delivered,
            seconds=self._last_delivery_s - started_s,
            generator_cpu_s=time.process_time() - cpu_s,
        )
        watcher.measured()
        gc.enable()
        return measured

    def _publish(self, seconds: float, watcher: Watcher | None) -> None:
        """Keep every window full for a time."""
        for publisher in self.publishers:
            self._interest(publisher.socket.fileno(), is_done=publisher.send_next())
        until_s = time.perf_counter() + seconds
        show_at_s = time.perf_counter() + SHOW_EVERY_S
        shown = self.delivered
        while (now_s := time.perf_counter()) < until_s:
            self._turn(is_publishing=True)
            if watcher is not None and now_s > show_at_s:
                show_at_s += SHOW_EVERY_S
                delivered = self.delivered
                watcher.show({"deliveries": delivered, "deliveries_per_s": delivered - shown})
                shown = delivered

    def _settle(self) -> None:
        """Publish no more, and wait until everything has come, or nothing comes any more."""
        published = sum(publisher.sent for publisher in self.publishers)
        self._last_delivery_s = time.perf_counter()
        while time.perf_counter() - self._last_delivery_s < SILENCE_S_MAX:
            self._turn(is_publishing=False)
            if self.acked >= published and self.delivered >= published * len(self.subscribers):
                break

    def _turn(self, *, is_publishing: bool) -> None:
        """Look at every socket once."""
        # As in `ingest`: who sleeps between two looks wakes no server's every write.
        time.sleep(PAUSE_S)
        buffer = self._buffer
        for fd, events in self._epoll.poll(POLL_S_MAX):
            subscriber = self._subscribers_by_fd.get(fd)
            if subscriber is not None:
                if not events & ~select.EPOLLOUT:
                    self._interest(fd, is_done=subscriber.send_rest())
                elif not subscriber.hear(buffer):
                    self._interest(fd, is_done=False)
                self._last_delivery_s = time.perf_counter()
                continue
            publisher = self._publishers_by_fd[fd]
            if events & ~select.EPOLLOUT:
                publisher.hear(buffer)
            is_done = publisher.send_next() if is_publishing else publisher.send_rest()
            if not is_done or events & select.EPOLLOUT:
                self._interest(fd, is_done=is_done)

    def _interest(self, fd: int, *, is_done: bool) -> None:
        self._epoll.modify(fd, select.EPOLLIN if is_done else select.EPOLLIN | select.EPOLLOUT)

    def close(self) -> None:
        for publisher in self.publishers:
            publisher.socket.close()
        for subscriber in self.subscribers:
            subscriber.socket.close()
        self._epoll.close()
