"""A server that only acknowledges: it bounds what the load generator could ever measure.

It reads the length of a client's first PUBLISH and from then on divides bytes by it: no server can
do less.
"""

from __future__ import annotations

import select
import socket
import sys

from firmware_sim.load import CONNACK_ACCEPTED

ACKS = b"\x40\x02\x00\x01" * 4096
RECEIVE_BYTES = 1 << 18


class Client:
    """How much one client has sent, and how long its packets are."""

    __slots__ = ("acked", "is_connected", "packet_bytes", "received_bytes", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.is_connected = False
        self.packet_bytes = 0
        self.received_bytes = 0
        self.acked = 0


def packet_length(head: bytearray) -> int:
    """The whole length of the packet that `head` begins with, which is below 16 KiB."""
    if head[1] & 0x80:
        return 3 + (head[1] & 0x7F) + (head[2] << 7)
    return 2 + head[1]


def accept(listener: socket.socket, poller: select.epoll, clients: dict[int, Client]) -> None:
    """Take one more client in."""
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    clients[connection.fileno()] = Client(connection)
    poller.register(connection.fileno(), select.EPOLLIN)


def answer(client: Client, buffer: bytearray) -> bool:
    """Acknowledge every whole packet that has arrived; False when the client has gone."""
    try:
        received = client.socket.recv_into(buffer)
    except ConnectionError:
        return False
    if not received:
        return False
    if not client.is_connected:
        client.is_connected = True
        client.socket.sendall(CONNACK_ACCEPTED)
        return True
    if not client.packet_bytes:
        client.packet_bytes = packet_length(buffer)
    client.received_bytes += received
    whole = client.received_bytes // client.packet_bytes
    client.socket.sendall(ACKS[: (whole - client.acked) * 4])
    client.acked = whole
    return True


def main() -> None:
    """Listen on the port that the command line names until the process is ended."""
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
    poller = select.epoll()
    poller.register(listener.fileno(), select.EPOLLIN)
    clients: dict[int, Client] = {}
    buffer = bytearray(RECEIVE_BYTES)
    while True:
        for fd, _ in poller.poll():
            if fd == listener.fileno():
                accept(listener, poller, clients)
            elif not answer(clients[fd], buffer):
                poller.unregister(fd)
                clients.pop(fd).socket.close()


if __name__ == "__main__":
    main()
