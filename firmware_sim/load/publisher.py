"""One publishing connection that keeps its window full, as little work a message as Python allows.

An ack has the same length each time (a PUBACK of MQTT 3.1.1 has four bytes, one of MQTT 5 has more
when it carries a reason), so acks are counted by dividing bytes; what is sent next is a slice of a
ring that was encoded before. One message at a time is followed from its send to its ack: these are
the latency samples.
"""

from __future__ import annotations

import time

from firmware_sim.failures import LoadFailed
from firmware_sim.load.options import Load
from firmware_sim.load.packets import PUBACK, Ring
from firmware_sim.load.sockets import open_client
from gateway.mqtt import ProtocolVersion

PUBACK_BYTES_MIN = 4


class Publisher:
    """Where a connection stands in its ring, and the message whose ack it times."""

    __slots__ = (
        "ack_bytes", "acked_bytes", "latencies_ns", "packet_bytes", "ring_count", "sample_at",
        "sample_due", "sampled_ns", "sent", "socket", "unsent", "view", "window",
    )  # fmt: skip

    def __init__(
        self,
        load: Load,
        client_id: str,
        ring: Ring,
        window: int,
        version: ProtocolVersion = ProtocolVersion.V3_1_1,
    ) -> None:
        self.view = memoryview(ring.encoded)
        self.packet_bytes = ring.packet_bytes
        self.ring_count = ring.packet_count
        self.window = window
        self.sent = 0
        self.ack_bytes = PUBACK_BYTES_MIN
        self.acked_bytes = 0
        self.latencies_ns: list[int] = []
        self.sample_due = 0
        self.sample_at = 0
        self.sampled_ns = 0
        self.unsent: memoryview | None = None
        self.socket = open_client(load, client_id, version=version)
        self.socket.settimeout(0)

    @property
    def acked(self) -> int:
        return self.acked_bytes // self.ack_bytes

    @property
    def in_flight(self) -> int:
        return self.sent - self.acked_bytes // self.ack_bytes

    def send_next(self) -> bool:
        """Fill the window again; True when the socket took everything."""
        if self.unsent is not None:
            block = self.unsent
        else:
            acked = self.acked_bytes // self.ack_bytes
            count = self.window - self.sent + acked
            if count <= 0:
                return True
            start = self.sent % self.ring_count * self.packet_bytes
            block = self.view[start : start + count * self.packet_bytes]
            if self.sample_due <= acked:
                # The place within the block moves, so that none is preferred.
                self.sample_at = self.sample_at % count + 1
                self.sample_due = self.sent + self.sample_at
                self.sampled_ns = time.perf_counter_ns()
            self.sent += count
        return self._send(block)

    def send_rest(self) -> bool:
        """Send what the socket did not take before, and nothing new; True when it took it."""
        return self.unsent is None or self._send(self.unsent)

    def _send(self, block: memoryview) -> bool:
        try:
            taken = self.socket.send(block)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            raise LoadFailed(f"the server cut a connection off: {error.strerror}") from error
        self.unsent = None if taken == len(block) else block[taken:]
        return self.unsent is None

    def hear(self, buffer: bytearray) -> None:
        """Count the acks that have come.

        Raises:
            LoadFailed: the connection was closed, or something else than a PUBACK came.
        """
        try:
            received = self.socket.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError as error:
            raise LoadFailed(f"the server cut a connection off: {error.strerror}") from error
        if not self.acked_bytes and received >= PUBACK_BYTES_MIN:
            self.ack_bytes = 2 + buffer[1]
        if received < PUBACK_BYTES_MIN or buffer[-self.acked_bytes % self.ack_bytes] != PUBACK:
            self._require_acks(buffer[:received])
        self.acked_bytes += received
        if self.sampled_ns and self.sample_due <= self.acked_bytes // self.ack_bytes:
            self.latencies_ns.append(time.perf_counter_ns() - self.sampled_ns)
            self.sampled_ns = 0

    def _require_acks(self, received: bytearray) -> None:
        """Look closely at an answer that is odd at first sight; part of a PUBACK is well."""
        if not received:
            raise LoadFailed("the server closed a connection under load")
        start = -self.acked_bytes % self.ack_bytes
        if received[start : start + 1] not in (b"", bytes([PUBACK])):
            raise LoadFailed(f"the server answered a PUBLISH with {received[start:].hex(' ')[:60]}")
