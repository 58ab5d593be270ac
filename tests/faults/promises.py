"""What the gateway promises about acks, as checks that any server can be put to.

They need a server process with a faulty disk under its data. A broken promise is a PromiseBroken,
so that the checks themselves are tested on a server that breaks each.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Protocol

from tests.harness.faulty_disk import FaultyDisk
from tests.harness.raw_client import RawClient, connected
from tests.harness.waiting import wait_for

DELAY_MS = 20
PUBLISHES = 8


class PromiseBroken(AssertionError):
    """An ack left before its event was safe."""


class Server(Protocol):
    """A server process under test."""

    @property
    def port(self) -> int: ...

    @property
    def is_running(self) -> bool: ...


def check_that_acks_wait_for_the_sync(server: Server, disk: FaultyDisk) -> None:
    """With syncs that take 20 ms and one message in flight, no ack comes within 20 ms.

    Raises:
        PromiseBroken: one did.
    """
    with connected(server.port, "patient") as client:
        disk.set(fsync_delay_ms=DELAY_MS)
        for number in range(1, PUBLISHES + 1):
            sent_ns = time.perf_counter_ns()
            client.publish("plant/pump/state", b'{"n":%d}' % number, packet_id=number)
            assert client.read_acks(1) == [number]
            waited_ms = (time.perf_counter_ns() - sent_ns) / 1e6
            if waited_ms < DELAY_MS:
                raise PromiseBroken(
                    f"ack {number} after {waited_ms:.1f} ms; a sync takes {DELAY_MS}"
                )
        disk.heal()


def check_that_no_ack_leaves_while(
    server: Server, disk: FaultyDisk, fault: str, error: str
) -> None:
    """While the disk refuses, acks wait and the gateway lives; when it is well, they leave.

    Raises:
        PromiseBroken: an ack left while nothing could be stored.
    """
    with ExitStack() as stack:
        clients = [
            stack.enter_context(connected(server.port, f"client-{number}")) for number in range(3)
        ]
        disk.set(**{fault: error})
        publish_while_refused(clients, disk, f"{fault}={error}")
        assert server.is_running
        disk.heal()
        for client in clients:
            assert client.read_acks(PUBLISHES) == list(range(1, PUBLISHES + 1))


def publish_while_refused(clients: list[RawClient], disk: FaultyDisk, fault: str) -> None:
    """Publish from every client, and see that only pings are answered."""
    failed = failures(disk)
    for client in clients:
        for packet_id in range(1, PUBLISHES + 1):
            client.publish(
                f"plant/{client.client_id}/state", b"%d" % packet_id, packet_id=packet_id
            )
    # The second failure shows that it tries again by itself.
    wait_for(lambda: has_ack(clients) or failures(disk) >= failed + 2, "the disk to refuse twice")
    if has_ack(clients):
        raise PromiseBroken(f"an ack left while {fault}")
    for client in clients:
        client.ping()


def failures(disk: FaultyDisk) -> int:
    counts = disk.counts
    return counts.writes_failed + counts.syncs_failed


def has_ack(clients: list[RawClient]) -> bool:
    return any(client.has_packet() for client in clients)
