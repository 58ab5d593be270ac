"""Devices that keep what is not acknowledged and resend it after a reconnect, as real ones do."""

from __future__ import annotations

import itertools
import json
import random
import select
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from tests.harness.log_reader import LoggedEvent
from tests.harness.raw_client import ConnectionClosed, RawClient, connected

WINDOW = 40
PUBLISHED_A_TURN = 3
TURN_S = 0.004
FIRST_TS = 1_767_225_600_000
BINARY_EVERY = 10
NO_JSON = b"\xff"


class Event(NamedTuple):
    """What a device has published."""

    topic: str
    payload: bytes


class Device:
    """One device: the events that it has made, and how far they are sent and acknowledged.

    No two of its events are equal, so that the log tells them apart. Most are JSON readings that
    wander through the limits of rules, on plant/NAME/state; every tenth is binary, on
    plant/NAME/blob, where no rule looks: it has no time of its own.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.events: list[Event] = []
        self.identities: list[Hashable] = []
        self.times_sent: Counter[Hashable] = Counter()
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
            self.identities.append(identity_of(self.events[index]))
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

    def _publish(self, packet_id: int, event: Event, *, dup: bool = False) -> None:
        if self._client is None:
            return
        self.times_sent[identity_of(event)] += 1
        # A dead server shows itself when the acks are taken; those before its end still count.
        with suppress(ConnectionError):
            self._client.publish(*event, packet_id=packet_id, dup=dup)

    def _next_event(self) -> Event:
        sequence = len(self.events)
        if sequence % BINARY_EVERY == BINARY_EVERY - 1:
            blob = NO_JSON + sequence.to_bytes(4, "big") + self._chance.randbytes(20)
            return Event(f"plant/{self.name}/blob", blob)
        self._value += self._chance.gauss(0, 4) + (60 - self._value) * 0.02
        reading = {
            "seq": sequence,
            "ts": FIRST_TS + sequence * 1000,
            "value": round(self._value, 3),
        }
        return Event(f"plant/{self.name}/state", json.dumps(reading).encode())


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
    return payload if payload.startswith(NO_JSON) else json.loads(payload)


def identity_of(event: Event | LoggedEvent) -> Hashable:
    """Topic and content of an event, sent or logged, with the keys in their order."""
    payload = event.payload
    if isinstance(event, Event):
        payload = as_logged(event.payload)
    return event.topic, tuple(payload.items()) if isinstance(payload, dict) else payload


def acknowledged_counts(devices: Iterable[Device]) -> dict[str, int]:
    """For each device, how many of its events must be in the log now."""
    return {device.name: max(device.acked, default=-1) + 1 for device in devices}


def first_difference(logged: Sequence[Hashable], sent: Sequence[Hashable]) -> int | None:
    """The place of the first thing in the log that was not sent there."""
    pairs = enumerate(itertools.zip_longest(logged, sent[: len(logged)]))
    return next((place for place, (own, wanted) in pairs if own != wanted), None)


def losses(
    devices: Iterable[Device], log: Sequence[LoggedEvent], due: Mapping[str, int]
) -> list[str]:
    """Compare the log with what was sent; say what is lost, altered, out of order or made up.

    The first occurrences of a device's events must be the events that it sent, from its first on,
    in its order, at least as many as were acknowledged. Only a resend may repeat one.
    """
    logged: dict[str, list[Hashable]] = defaultdict(list)
    for event in log:
        logged[event.device].append(identity_of(event))
    complaints = []
    for device in devices:
        first_ones, sent = list(dict.fromkeys(logged[device.name])), device.identities
        wrong = first_difference(first_ones, sent)
        if wrong is not None:
            due_here = sent[wrong] if wrong < len(sent) else "nothing"
            complaints.append(f"{device.name}: {first_ones[wrong]} in place of {due_here}")
        elif len(first_ones) < due[device.name]:
            complaints.append(
                f"{device.name}: {due[device.name]} acknowledged, {len(first_ones)} in the log; "
                f"{sent[len(first_ones)]} is lost"
            )
        repeated = Counter(logged[device.name]) - device.times_sent
        complaints += [f"{device.name}: {one} in the log more often than sent" for one in repeated]
    return complaints
