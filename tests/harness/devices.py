"""Devices that keep what is not acknowledged and resend it after a reconnect, as real ones do."""

from __future__ import annotations

import base64
import itertools
import json
import random
import select
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tests.harness.log_reader import LoggedEvent, by_topic
from tests.harness.raw_client import ConnectionClosed, RawClient, connected

WINDOW = 40
PUBLISHED_A_TURN = 3
TURN_S = 0.004
FIRST_TS = 1_767_225_600_000
BINARY_EVERY = 10


class Device:
    """One device: the events that it has made, and how far they are sent and acknowledged.

    No two of its events are equal, so that the log tells them apart. Most are JSON readings that
    wander through the limits of rules; every tenth is binary.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.topic = f"plant/{name}/state"
        self.events: list[bytes] = []
        self.acked: set[int] = set()
        self._chance = random.Random(f"{seed}/{name}")
        self._value = 60.0
        self._in_flight: dict[int, int] = {}
        self._client: RawClient | None = None

    @property
    def is_connected(self) -> bool:
        return self._client is not None

    @property
    def unacked_count(self) -> int:
        return len(self._in_flight)

    def connect(self, port: int) -> None:
        """Connect, and resend in order what was sent and not acknowledged."""
        self._client = connected(port, self.name)
        for packet_id, index in self._in_flight.items():
            self._publish(packet_id, self.events[index], dup=True)

    def send_more(self, count: int) -> None:
        """Publish the next events, as far as the window allows."""
        for _ in range(min(count, WINDOW - self.unacked_count)):
            index = len(self.events)
            packet_id = index % 0xFFFF + 1
            self._in_flight[packet_id] = index
            self.events.append(self._next_event())
            self._publish(packet_id, self.events[index])

    def take_acks(self) -> None:
        """Note the acks that have arrived, those in front of a broken connection included."""
        while self._client is not None:
            try:
                acks = self._client.acks_already_here()
            except ConnectionClosed:
                self.hang_up()
                return
            if not acks:
                return
            self.acked |= {self._in_flight.pop(packet_id) for packet_id in acks}

    def hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def fileno(self) -> int:
        assert self._client is not None
        return self._client.fileno()

    def _publish(self, packet_id: int, payload: bytes, *, dup: bool = False) -> None:
        if self._client is None:
            return
        # A dead server shows itself when the acks are taken; those before its end still count.
        with suppress(ConnectionError):
            self._client.publish(self.topic, payload, packet_id=packet_id, dup=dup)

    def _next_event(self) -> bytes:
        sequence = len(self.events)
        if sequence % BINARY_EVERY == BINARY_EVERY - 1:
            return b"\xff" + sequence.to_bytes(4, "big") + self._chance.randbytes(20)
        self._value += self._chance.gauss(0, 4) + (60 - self._value) * 0.02
        reading = {
            "seq": sequence,
            "ts": FIRST_TS + sequence * 1000,
            "value": round(self._value, 3),
        }
        return json.dumps(reading).encode()


def play(devices: Sequence[Device], is_over: Callable[[], bool]) -> None:
    """Let the devices publish in turns until `is_over`; broken connections stay broken."""
    while not is_over():
        for device in devices:
            device.send_more(PUBLISHED_A_TURN)
        listening = [device for device in devices if device.is_connected]
        select.select(listening, [], [], TURN_S)
        take_acks(devices)


def take_acks(devices: Iterable[Device]) -> None:
    for device in devices:
        device.take_acks()


def finish(devices: Sequence[Device], is_over: Callable[[], bool]) -> bool:
    """Publish nothing new; wait until everything is acknowledged, or `is_over`. True when it is."""
    while any(device.unacked_count for device in devices) and not is_over():
        select.select([device for device in devices if device.is_connected], [], [], TURN_S)
        take_acks(devices)
    return not any(device.unacked_count for device in devices)


def as_logged(payload: bytes) -> Any:
    """What the log shows for a payload: its JSON value, or bytes."""
    return payload if payload[:1] == b"\xff" else json.loads(payload)


def identity(payload: Any) -> str:
    """A text that is equal for equal payloads."""
    if isinstance(payload, bytes):
        return base64.b64encode(payload).decode()
    return json.dumps(payload, sort_keys=True)


def acknowledged_counts(devices: Iterable[Device]) -> dict[str, int]:
    """For each topic, how many of its events must be in the log now."""
    return {device.topic: max(device.acked, default=-1) + 1 for device in devices}


def first_difference(logged: Sequence[str], sent: Sequence[str]) -> int | None:
    """The place of the first thing in the log that was not sent there."""
    pairs = enumerate(itertools.zip_longest(logged, sent[: len(logged)]))
    return next((place for place, (own, wanted) in pairs if own != wanted), None)


def losses(
    devices: Iterable[Device], log: Sequence[LoggedEvent], due: Mapping[str, int]
) -> list[str]:
    """Compare the log with what was sent, and say what is lost, altered or out of order.

    The first occurrences of a device's events must be the events that it sent, from its first on,
    in its order, at least as many as were acknowledged; resends may repeat them.
    """
    logged = by_topic(log)
    complaints = []
    for device in devices:
        first_ones = list(dict.fromkeys(identity(payload) for payload in logged[device.topic]))
        sent = [identity(as_logged(payload)) for payload in device.events]
        wrong = first_difference(first_ones, sent)
        if wrong is not None:
            due_here = sent[wrong] if wrong < len(sent) else "nothing"
            complaints.append(f"{device.topic}: {first_ones[wrong]} in place of {due_here}")
        elif len(first_ones) < due[device.topic]:
            complaints.append(
                f"{device.topic}: {due[device.topic]} acknowledged, {len(first_ones)} in the log; "
                f"{sent[len(first_ones)]} is lost"
            )
    return complaints
