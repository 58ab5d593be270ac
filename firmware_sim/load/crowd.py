"""Many clients on their way into a server at the same time: one epoll loop, no thread."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from firmware_sim.failures import ServerAbsent, ServerRefused
from firmware_sim.load.options import Load
from firmware_sim.load.packets import (
    CONNACK_ACCEPTED,
    SUBACK_BYTES,
    connect_packet,
    subscribe_packet,
)
from firmware_sim.load.sockets import cut_off

CONNACK_BYTES = len(CONNACK_ACCEPTED)
RETRY_S = 0.25
POLL_S_MAX = 0.05
UNDERWAY = (0, errno.EINPROGRESS)


class Guest:
    """One client: what it says when it is let in, and how much of the answer has come."""

    __slots__ = ("answer", "answer_bytes", "is_in", "number", "request", "socket", "started_ns")

    def __init__(self, load: Load, number: int, *, subscribes: bool) -> None:
        self.number = number
        client_id = f"bench-guest-{number}"
        self.request = connect_packet(client_id, load.username, load.password)
        self.answer_bytes = CONNACK_BYTES
        if subscribes:
            self.request += subscribe_packet(f"bench/guest-{number}/commands", 1)
            self.answer_bytes += SUBACK_BYTES
        self.answer = b""
        self.is_in = False
        self.started_ns = 0
        self.socket: socket.socket | None = None

    def leave(self) -> None:
        """Be gone without a word."""
        if self.socket is not None:
            cut_off(self.socket)
        self.socket = None
        self.is_in = False


class Crowd:
    """Lets guests in; `on_in` hears of each that has been answered in full.

    A guest whose connection fails comes again after RETRY_S; `retries` counts that.
    """

    def __init__(self, load: Load, on_in: Callable[[Guest], None]) -> None:
        self._load = load
        self._family, self._address = _resolve(load)
        self._on_in = on_in
        self._epoll = select.epoll()
        self._by_fd: dict[int, Guest] = {}
        self._later: list[tuple[float, Guest]] = []
        self.retries = 0

    @property
    def underway(self) -> int:
        """How many have been sent and are not in yet."""
        return len(self._by_fd) + len(self._later)

    def send(self, guests: Iterable[Guest]) -> None:
        """Let guests begin to connect."""
        for guest in guests:
            self._dial(guest)

    def _dial(self, guest: Guest) -> None:
        guest.answer = b""
        guest.is_in = False
        guest.started_ns = time.perf_counter_ns()
        made = guest.socket = socket.socket(self._family, socket.SOCK_STREAM)
        made.settimeout(0)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if made.connect_ex(self._address) not in UNDERWAY:
            self._retry(guest)
            return
        self._by_fd[made.fileno()] = guest
        self._epoll.register(made.fileno(), select.EPOLLOUT)

    def _retry(self, guest: Guest) -> None:
        self.retries += 1
        guest.leave()
        self._later.append((time.perf_counter() + RETRY_S, guest))

    def turn(self, wait_s: float = POLL_S_MAX) -> None:
        """Look at every connection once.

        Raises:
            ServerRefused: a guest was answered with a refusal.
        """
        for fd, events in self._epoll.poll(wait_s):
            guest = self._by_fd[fd]
            if events & select.EPOLLOUT and not events & (select.EPOLLERR | select.EPOLLHUP):
                self._greet(fd, guest)
            else:
                self._hear(fd, guest)
        now_s = time.perf_counter()
        due = [guest for at_s, guest in self._later if at_s <= now_s]
        if due:
            self._later = [(at_s, guest) for at_s, guest in self._later if at_s > now_s]
            self.send(due)

    def _greet(self, fd: int, guest: Guest) -> None:
        assert guest.socket is not None  # noqa: S101 - it is in `_by_fd`
        try:
            guest.socket.send(guest.request)
        except OSError:
            self._forget(fd)
            self._retry(guest)
        else:
            self._epoll.modify(fd, select.EPOLLIN)

    def _hear(self, fd: int, guest: Guest) -> None:
        assert guest.socket is not None  # noqa: S101 - it is in `_by_fd`
        try:
            received = guest.socket.recv(guest.answer_bytes - len(guest.answer))
        except OSError:
            received = b""
        if not received:
            self._forget(fd)
            self._retry(guest)
            return
        guest.answer += received
        if len(guest.answer) == guest.answer_bytes:
            self._forget(fd)
            self._admit(guest)

    def _admit(self, guest: Guest) -> None:
        if guest.answer[0] != CONNACK_ACCEPTED[0] or guest.answer[3]:
            why = f"it answered '{guest.answer.hex(' ')}'"
            name = f"bench-guest-{guest.number}"
            raise ServerRefused(self._load.host, self._load.port, name, why)
        guest.is_in = True
        self._on_in(guest)

    def _forget(self, fd: int) -> None:
        self._epoll.unregister(fd)
        del self._by_fd[fd]

    def close(self) -> None:
        for guest in [*self._by_fd.values(), *(guest for _, guest in self._later)]:
            guest.leave()
        self._by_fd.clear()
        self._later.clear()
        self._epoll.close()


def _resolve(load: Load) -> tuple[socket.AddressFamily, Any]:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            load.host, load.port, type=socket.SOCK_STREAM
        )[0]
    except OSError as error:
        raise ServerAbsent(load.host, load.port, error.strerror or str(error)) from error
    return family, address
