"""A server with the fault that the tests look for: it acknowledges first and stores afterwards.

It exists to show that the checks see this. Run as a program: DIRECTORY PORT.
"""

from __future__ import annotations

import json
import os
import queue
import socketserver
import sys
import threading
from pathlib import Path

from tests.harness.devices import as_logged
from tests.harness.gateway_process import GatewayProcess, penstock
from tests.harness.log_reader import LoggedEvent
from tests.harness.raw_client import CONNECT, PINGREQ, PUBLISH, decode_packet, encode_packet

CONNACK = encode_packet(2, 0, b"\0\0")
PINGRESP = encode_packet(13, 0, b"")


class HastyServer(GatewayProcess):
    """The process, in place of a gateway's."""

    def command(self) -> list[str]:
        interpreter = penstock()[0]
        return [interpreter, "-m", "tests.faults.hasty_server", str(self.data), str(self.port)]

    def stored(self) -> list[LoggedEvent]:
        """What its file holds, as if from a log."""
        events = []
        for line in (self.data / "log").read_text(errors="replace").splitlines():
            topic, payload = json.loads(line.strip("\0"))
            value = as_logged(bytes.fromhex(payload))
            events.append(LoggedEvent(0, len(events), None, topic, topic.split("/")[1], value))
        return events


class Handler(socketserver.BaseRequestHandler):
    """One client: its answer never waits for the disk."""

    def handle(self) -> None:
        received = bytearray()
        while chunk := self.request.recv(1 << 16):
            received += chunk
            while (found := decode_packet(received)) is not None:
                packet, end = found
                del received[:end]
                if packet.kind == CONNECT:
                    self.request.sendall(CONNACK)
                elif packet.kind == PINGREQ:
                    self.request.sendall(PINGRESP)
                elif packet.kind == PUBLISH:
                    length = int.from_bytes(packet.body[:2], "big")
                    topic, rest = packet.body[2 : 2 + length].decode(), packet.body[2 + length :]
                    self.request.sendall(encode_packet(4, 0, rest[:2]))
                    self.server.unwritten.put((topic, rest[2:].hex()))


class Server(socketserver.ThreadingTCPServer):
    """Every client in a thread, and one that writes."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, directory: Path, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.unwritten: queue.Queue[tuple[str, str]] = queue.Queue()
        directory.mkdir(exist_ok=True)
        self.fd = os.open(directory / "log", os.O_CREAT | os.O_RDWR | os.O_APPEND)
        threading.Thread(target=self.write, daemon=True).start()

    def write(self) -> None:
        while True:
            line = json.dumps(self.unwritten.get()).encode() + b"\n"
            while not self.has_stored(line):
                pass

    def has_stored(self, line: bytes) -> bool:
        try:
            os.write(self.fd, line)
            os.fsync(self.fd)
        except OSError:
            return False
        return True


if __name__ == "__main__":
    Server(Path(sys.argv[1]), int(sys.argv[2])).serve_forever()
