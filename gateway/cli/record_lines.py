"""Records, sizes and times as the commands print them: for people, or as one JSON object a line."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from gateway.events import Flag, Origin, RecordBatch
from gateway.mqtt import matches
from gateway.store import Correction, Gap, Reference, corrected_ms, decode_reference

SIZE_STEP = 1024


class Choice(NamedTuple):
    """Which records of a stretch; empty text and None choose all."""

    topic_filter: str
    device: str
    limit: int | None

    def takes(self, origin: Origin) -> bool:
        """Whether records from here are wanted."""
        if self.device and origin.device != self.device:
            return False
        return not self.topic_filter or matches(self.topic_filter, origin.topic)


class Line(NamedTuple):
    """A record as it is about to be printed."""

    stream: str
    partition: int
    offset: int
    time: str
    topic: str
    device: str
    payload: bytes
    corrected_time: str = ""
    """What the time should have been, where the clock is known to have been wrong."""

    flags: int = 0

    @property
    def reference(self) -> Reference | None:
        """The blob in which the payload lies, if it doesn't lie in the record."""
        return decode_reference(self.payload) if self.flags & Flag.CLAIM else None


class Printer:
    """Prints the chosen records of batches, each batch in one write.

    `corrections` say when the clock was wrong.
    """

    def __init__(self, choice: Choice, show: Callable[[Line], bytes]) -> None:
        self._choice = choice
        self._show = show
        self._left = sys.maxsize if choice.limit is None else choice.limit
        self._taken: dict[Origin, bool] = {}
        self.corrections: Sequence[Correction] = ()

    @property
    def left(self) -> int:
        """How many records may still be printed."""
        return self._left

    @property
    def is_done(self) -> bool:
        """Whether the limit is reached."""
        return self._left == 0

    def print(self, batch: RecordBatch) -> None:
        """Print what is chosen of a batch."""
        lines = []
        for line, origin in lines_of(batch, self.corrections):
            if self.is_done:
                break
            taken = self._taken.get(origin)
            if taken is None:
                taken = self._taken[origin] = self._choice.takes(origin)
            if taken:
                self._left -= 1
                lines.append(self._show(line))
        if lines:
            sys.stdout.buffer.write(b"\n".join([*lines, b""]))
            sys.stdout.buffer.flush()


def lines_of(
    batch: RecordBatch, corrections: Sequence[Correction] = ()
) -> Iterable[tuple[Line, Origin]]:
    """The records of a batch, ready to be shown, oldest first."""
    offset = batch.base_offset
    for run in batch.runs:
        time = iso_time(run.arrival_ms)
        right_ms = corrected_ms(run.arrival_ms, corrections)
        corrected = iso_time(right_ms) if right_ms != run.arrival_ms else ""
        for origin, payload, flags in zip(run.origins, run.payloads, run.flags, strict=True):
            yield (
                Line(
                    batch.stream, batch.partition, offset, time, *origin, payload, corrected, flags
                ),
                origin,
            )
            offset += 1


def json_line(line: Line) -> bytes:
    """One JSON object: the payload as the JSON that it is, else in base64."""
    shown: dict[str, Any] = line._asdict()
    del shown["flags"]
    if not line.corrected_time:
        del shown["corrected_time"]
    reference = line.reference
    if reference is not None:
        del shown["payload"]
        return orjson.dumps(shown | {"blob": reference._asdict()})
    try:
        value = orjson.loads(line.payload)
    except orjson.JSONDecodeError:
        del shown["payload"]
        shown["payload_base64"] = base64.b64encode(line.payload).decode()
    else:
        # As it was sent, so that no digit changes; unless it would break the line.
        is_one_line = b"\n" not in line.payload and b"\r" not in line.payload
        shown["payload"] = orjson.Fragment(line.payload) if is_one_line else value
    return orjson.dumps(shown)


def text_line(line: Line) -> bytes:
    """One line for people; nothing in it can move a terminal's cursor."""
    reference = line.reference
    try:
        payload = line.payload.decode()
    except UnicodeDecodeError:
        payload = f"base64:{base64.b64encode(line.payload).decode()}"
    if reference is not None:
        payload = f"blob {reference.digest}, {reference.size_bytes} bytes"
    place = f"{line.partition}@{line.offset}"
    return f"{line.time}  {place:<12}  {printable(line.topic)}  {printable(payload)}".encode()


def printable(text: str) -> str:
    """The text with everything that isn't printable written as escapes."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def iso_time(time_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def size_text(size_bytes: float) -> str:
    """A size with the unit that keeps it short."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < SIZE_STEP:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= SIZE_STEP
    return f"{size_bytes:.1f} TiB"


def report_gaps(gaps: list[Gap]) -> None:
    """Say on stderr what is missing; each gap once."""
    for gap in gaps:
        print(
            f"penstock: {gap.stream}/{gap.partition}: "
            f"offsets {gap.start_offset} to {gap.stop_offset - 1} are {gap.cause}",
            file=sys.stderr,
        )
    gaps.clear()
