"""One MQTT 3.1.1 connection over a plain socket, for MicroPython; it never blocks for long."""

import select
import socket
import struct
import time

KEEP_ALIVE_S = 60
ANSWER_MS = 5_000
CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 0x20, 0x30, 0x40, 0x90, 0xD0


class Stopwatch:
    """Milliseconds since the start; the counter of a board begins again after some days."""

    def __init__(self):
        self.passed_ms, self.last = 0, self.ticks()

    def ticks(self):
        return time.ticks_ms() if hasattr(time, "ticks_ms") else int(time.monotonic() * 1_000)

    def now(self):
        ticks = self.ticks()
        diff = getattr(time, "ticks_diff", lambda new, old: new - old)
        self.passed_ms, self.last = self.passed_ms + diff(ticks, self.last), ticks
        return self.passed_ms


def text(value):
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


class Link:
    """A connection; whatever goes wrong with it is an OSError. `hear` gets (topic, payload)."""

    def __init__(self, server, hear, clock):
        self.hear, self.clock, self.heard_ms = hear, clock, clock.now()
        self.arrived, self.packet_id = b"", 0
        self.socket = socket.socket()
        try:
            self.socket.connect(socket.getaddrinfo(server[0], server[1])[0][-1])
        except OSError:
            self.socket.close()
            raise

    def greet(self, name, key, topics):
        """Say who we are, and subscribe at QoS 1."""
        login = text(name) + text(key) if key else b""
        head = text("MQTT") + bytes([4, 0xC2 if login else 0x02]) + struct.pack(">H", KEEP_ALIVE_S)
        self.send(0x10, head + text(name) + login)
        self.wait_for(CONNACK, lambda body: body[1] == 0)
        self.send(0x82, b"\0\1" + b"".join(text(topic) + b"\1" for topic in topics))
        self.wait_for(SUBACK, lambda body: 0x80 not in body[2:])

    def publish(self, topic, payload):
        """Send at QoS 1, and return when the server has it."""
        self.packet_id = self.packet_id % 65_535 + 1
        packet_id = struct.pack(">H", self.packet_id)
        self.send(0x32, text(topic) + packet_id + payload)
        self.wait_for(PUBACK, lambda body: body[:2] == packet_id)

    def tell(self, topic, payload):
        """Send at QoS 0."""
        self.send(PUBLISH, text(topic) + payload)

    def listen(self, wait_ms):
        """Take what arrives in this time; ask whether the server is there when it is silent."""
        packet = self.receive(wait_ms)
        if packet:
            self.take(packet)
        elif self.clock.now() - self.heard_ms > KEEP_ALIVE_S * 500:
            self.send(0xC0, b"")
            self.wait_for(PINGRESP, lambda body: True)

    def close(self):
        self.socket.close()

    def send(self, first, body):
        length, header = len(body), bytes([first])
        while True:
            length, digit = length >> 7, length & 0x7F
            header += bytes([digit | (0x80 if length else 0)])
            if not length:
                break
        rest = header + body
        while rest:
            rest = rest[self.socket.send(rest) :]

    def receive(self, wait_ms):
        """The next packet as (first byte, body); None when none came in time."""
        end_ms = self.clock.now() + wait_ms
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        packet = self.cut()
        while packet is None and poller.poll(max(0, end_ms - self.clock.now())):
            chunk = self.socket.recv(1_024)
            if not chunk:
                raise OSError("closed by the server")
            self.arrived, self.heard_ms = self.arrived + chunk, self.clock.now()
            packet = self.cut()
        return packet

    def cut(self):
        """Take the first packet off what has arrived, if all of it is here."""
        length, at = 0, 1
        while at < min(len(self.arrived), 5):
            length |= (self.arrived[at] & 0x7F) << 7 * (at - 1)
            at += 1
            if not self.arrived[at - 1] & 0x80:
                if len(self.arrived) < at + length:
                    return None
                packet = self.arrived[0], self.arrived[at : at + length]
                self.arrived = self.arrived[at + length :]
                return packet
        return None

    def wait_for(self, kind, is_good):
        """Read until the packet that is due has come; messages are heard meanwhile."""
        end_ms = self.clock.now() + ANSWER_MS
        while True:
            packet = self.receive(max(0, end_ms - self.clock.now()))
            if packet is None or (packet[0] & 0xF0 == kind and not is_good(packet[1])):
                raise OSError("no answer, or a refusal")
            if packet[0] & 0xF0 == kind:
                return
            self.take(packet)

    def take(self, packet):
        """Acknowledge a message and pass it on."""
        first, body = packet
        if first & 0xF0 != PUBLISH:
            return
        at = 2 + struct.unpack(">H", body[:2])[0]
        payload = body[at + (2 if first & 0x06 else 0) :]
        if first & 0x06:
            self.send(PUBACK, body[at : at + 2])
        self.hear(body[2:at].decode(), payload)
