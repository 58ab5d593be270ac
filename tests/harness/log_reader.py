"""The log as a user reads it: `penstock streams read … --json`."""

from __future__ import annotations

import base64
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness.gateway_process import environment_of, penstock


class LoggedEvent(NamedTuple):
    """One line of `streams read`; `payload` is a JSON value, or bytes where it is not JSON."""

    partition: int
    offset: int
    time: Any
    topic: str
    device: str
    payload: Any


def read_log(data: Path, stream: str, *options: str) -> list[LoggedEvent]:
    """Every event of a stream, in the order in which the command prints them.

    Raises:
        AssertionError: the command failed.
    """
    return collect_log(start_reading(data, stream, *options))


def start_reading(data: Path, stream: str, *options: str) -> subprocess.Popen[str]:
    """Begin to read in a process of its own; `collect_log` waits for it."""
    place = ["--data", str(data), "--from", "earliest", "--json"]
    return subprocess.Popen(
        penstock("streams", "read", stream, *place, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment_of(),
    )


def collect_log(reading: subprocess.Popen[str], seconds: float = 60.0) -> list[LoggedEvent]:
    """The events that a reader printed."""
    output, errors = reading.communicate(timeout=seconds)
    assert reading.returncode == 0, errors
    return [parse_line(line) for line in output.splitlines()]


def parse_line(line: str) -> LoggedEvent:
    parsed = json.loads(line)
    if "payload_base64" in parsed:
        payload: Any = base64.b64decode(parsed["payload_base64"])
    else:
        payload = parsed["payload"]
    return LoggedEvent(
        parsed["partition"],
        parsed["offset"],
        parsed["time"],
        parsed["topic"],
        parsed["device"],
        payload,
    )


def by_partition(events: Iterable[LoggedEvent]) -> dict[int, list[LoggedEvent]]:
    partitions: dict[int, list[LoggedEvent]] = defaultdict(list)
    for event in events:
        partitions[event.partition].append(event)
    return partitions


def by_topic(events: Iterable[LoggedEvent]) -> dict[str, list[Any]]:
    """The payloads of each topic, in the order of the log."""
    payloads: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        payloads[event.topic].append(event.payload)
    return payloads


def assert_offsets_are_dense(events: Sequence[LoggedEvent]) -> None:
    """Each partition's offsets are 0, 1, 2 … in the order that they were read."""
    for partition, members in by_partition(events).items():
        offsets = [event.offset for event in members]
        assert offsets == list(range(len(offsets))), f"partition {partition}: {first_hole(offsets)}"


def first_hole(offsets: Sequence[int]) -> str:
    for wanted, offset in enumerate(offsets):
        if wanted != offset:
            return f"offset {offset} where {wanted} was due"
    return "none"
