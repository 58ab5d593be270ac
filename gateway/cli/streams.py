"""`penstock streams`: what the log holds, beside a running gateway or on a stopped one."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import typer

from gateway.cli.main import fail
from gateway.clock import SystemClock
from gateway.documents import did_you_mean
from gateway.errors import MqttError, OffsetOutOfRange, UnknownStream
from gateway.events import Origin, RecordBatch
from gateway.mqtt import check_topic_filter, matches
from gateway.store import (
    Extent,
    Gap,
    Place,
    Scan,
    StreamReader,
    StreamSpec,
    offsets_at,
    open_reader,
    parse_place,
)

DATA_DIR = Path("penstock-data")
PLACES = "earliest, latest, @OFFSET, -1h or an ISO time"
SIZE_STEP = 1024
BAD_USAGE = 2

Key = tuple[str, int]
DATA_OPTION = typer.Option(DATA_DIR, "--data", help="Data directory of the gateway.")

app = typer.Typer(help="Look into the log.", no_args_is_help=True)


@app.command("list")
def list_streams(
    data: Path = DATA_OPTION,
    json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """List the streams: partitions, records, size, oldest and newest record."""
    asyncio.run(_list(data, as_json=json))


@app.command()
def read(
    stream: str = typer.Argument(help="Which stream."),
    data: Path = DATA_OPTION,
    start: str = typer.Option("earliest", "--from", help=f"Where to begin: {PLACES}."),
    stop: str = typer.Option("", "--to", help=f"Where to end, that excluded: {PLACES}."),
    partition: int | None = typer.Option(None, help="Only this partition."),
    topic: str = typer.Option("", help="Only topics that this MQTT filter matches."),
    device: str = typer.Option("", help="Only this device."),
    limit: int | None = typer.Option(None, min=1, help="Stop after so many records."),
    follow: bool = typer.Option(False, "--follow", help="Go on with what arrives, until Ctrl-C."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Print records, oldest first; those of several partitions in the order they were committed."""
    if follow and stop:
        fail("--follow has no end; leave out --to", BAD_USAGE)
    now_ms = SystemClock().now_ms()
    wish = Wish(
        stream,
        partition,
        _place(start, now_ms, "--from"),
        _place(stop or "latest", now_ms, "--to"),
        is_followed=follow,
    )
    choice = Choice(_topic_filter(topic), device, limit)
    try:
        asyncio.run(_read(data, wish, Printer(choice, json_line if json else text_line)))
    except KeyboardInterrupt:
        # That is how following ends.
        return


@dataclass(frozen=True, slots=True)
class Wish:
    """Which stretch of the log somebody wants to see."""

    stream: str
    partition: int | None
    start: Place
    stop: Place
    is_followed: bool


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


class Printer:
    """Prints the chosen records of batches, each batch in one write."""

    def __init__(self, choice: Choice, show: Callable[[Line], bytes]) -> None:
        self._choice = choice
        self._show = show
        self._left = sys.maxsize if choice.limit is None else choice.limit
        self._taken: dict[Origin, bool] = {}

    @property
    def is_done(self) -> bool:
        """Whether the limit is reached."""
        return self._left == 0

    def print(self, batch: RecordBatch) -> None:
        """Print what is chosen of a batch."""
        lines = []
        for line, origin in lines_of(batch):
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


def lines_of(batch: RecordBatch) -> Iterable[tuple[Line, Origin]]:
    """The records of a batch, ready to be shown, oldest first."""
    offset = batch.base_offset
    for run in batch.runs:
        time = iso_time(run.arrival_ms)
        for origin, payload in zip(run.origins, run.payloads, strict=True):
            yield (
                Line(batch.stream, batch.partition, offset, time, *origin, payload),
                origin,
            )
            offset += 1


def json_line(line: Line) -> bytes:
    """One JSON object: the payload as the JSON that it is, else in base64."""
    shown: dict[str, Any] = line._asdict()
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
    try:
        payload = line.payload.decode()
    except UnicodeDecodeError:
        payload = f"base64:{base64.b64encode(line.payload).decode()}"
    place = f"{line.partition}@{line.offset}"
    return f"{line.time}  {place:<12}  {printable(line.topic)}  {printable(payload)}".encode()


def printable(text: str) -> str:
    """The text with everything that isn't printable written as escapes."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def iso_time(time_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


async def _list(data: Path, *, as_json: bool) -> None:
    reader = await open_reader(data)
    try:
        streams = [(spec, await reader.extents(spec.name)) for spec in await reader.streams()]
    finally:
        await reader.close()
    if as_json:
        for spec, extents in streams:
            print(orjson.dumps(describe(spec, extents)).decode())
    elif streams:
        print_table(streams)
    else:
        print(f"{data} holds no stream yet")


def describe(spec: StreamSpec, extents: Sequence[Extent]) -> dict[str, Any]:
    """A stream for machines: its specification, its sums, and each partition."""
    first_ms = min((own.first_ms for own in extents if own.first_ms is not None), default=None)
    last_ms = max((own.last_ms for own in extents if own.last_ms is not None), default=None)
    limits = asdict(spec)
    return {
        "stream": limits.pop("name"),
        **limits,
        "records": sum(own.log_end_offset - own.log_start_offset for own in extents),
        "stored_bytes": sum(own.stored_bytes for own in extents),
        "first_time": None if first_ms is None else iso_time(first_ms),
        "last_time": None if last_ms is None else iso_time(last_ms),
        "extents": [
            {
                "partition": own.partition,
                "log_start_offset": own.log_start_offset,
                "log_end_offset": own.log_end_offset,
                "stored_bytes": own.stored_bytes,
            }
            for own in extents
        ],
    }


def print_table(streams: Iterable[tuple[StreamSpec, Sequence[Extent]]]) -> None:
    """The streams for people, one a line."""
    rows = [("STREAM", "PARTITIONS", "RECORDS", "SIZE", "OLDEST", "NEWEST")]
    for spec, extents in streams:
        shown = describe(spec, extents)
        rows.append(
            (
                spec.name,
                str(spec.partitions),
                str(shown["records"]),
                size_text(shown["stored_bytes"]),
                shown["first_time"] or "-",
                shown["last_time"] or "-",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells, newest in rows:
        middle = "  ".join(
            cell.rjust(width) for cell, width in zip(cells, widths[1:-1], strict=True)
        )
        print(f"{name:<{widths[0]}}  {middle}  {newest}")


def size_text(size_bytes: float) -> str:
    """A size with the unit that keeps it short."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < SIZE_STEP:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= SIZE_STEP
    return f"{size_bytes:.1f} TiB"


async def _read(data: Path, wish: Wish, printer: Printer) -> None:
    reader = await open_reader(data)
    try:
        partitions = await _partitions(reader, wish)
        starts = await offsets_at(reader, partitions, wish.start)
        if wish.start.kind == "offset":
            await _check_offset(reader, partitions, wish.start.value)
        stops = await offsets_at(reader, partitions, wish.stop)
        scan = Scan(reader, starts, stops)
        async for batch in scan.batches():
            printer.print(batch)
            _report(scan.gaps)
            if printer.is_done:
                return
        _report(scan.gaps)
        if wish.is_followed:
            await _follow(reader, wish, stops, printer)
    finally:
        await reader.close()


async def _follow(
    reader: StreamReader, wish: Wish, starts: dict[Key, int], printer: Printer
) -> None:
    everything = await _partitions(reader, replace(wish, partition=None))
    ends = await offsets_at(reader, everything, Place("latest"))
    tail = reader.tail([wish.stream], ends | starts)
    while not printer.is_done:
        for batch in await tail.next():
            if (batch.stream, batch.partition) in starts:
                printer.print(batch)
        _report(list(tail.gaps))


async def _partitions(reader: StreamReader, wish: Wish) -> list[Key]:
    """The partitions that are to be read.

    Raises:
        UnknownStream: there is no such stream or partition; says which there are.
    """
    specs = {spec.name: spec for spec in await reader.streams()}
    spec = specs.get(wish.stream)
    if spec is None:
        guess = did_you_mean(wish.stream, specs) or ";"
        raise UnknownStream(
            f"no stream {wish.stream!r}{guess} there are: {', '.join(specs) or 'none'}"
        )
    if wish.partition is None:
        return [(spec.name, partition) for partition in range(spec.partitions)]
    if wish.partition not in range(spec.partitions):
        raise UnknownStream(
            f"stream {spec.name!r} has partitions 0 to {spec.partitions - 1}, not {wish.partition}"
        )
    return [(spec.name, wish.partition)]


async def _check_offset(reader: StreamReader, partitions: Iterable[Key], offset: int) -> None:
    """See that an offset lies in at least one partition.

    Raises:
        OffsetOutOfRange: it doesn't; says what they hold.
    """
    held = []
    for stream, partition in partitions:
        log_start_offset, log_end_offset = await reader.bounds(stream, partition)
        if log_start_offset <= offset <= log_end_offset:
            return
        is_empty = log_start_offset == log_end_offset
        what = "nothing" if is_empty else f"@{log_start_offset} to @{log_end_offset - 1}"
        held.append(f"partition {partition} holds {what}")
    raise OffsetOutOfRange(f"no record @{offset}: {', '.join(held)}")


def _report(gaps: list[Gap]) -> None:
    """Say on stderr what is missing; each gap once."""
    for gap in gaps:
        print(
            f"penstock: {gap.stream}/{gap.partition}: "
            f"offsets {gap.start_offset} to {gap.stop_offset - 1} are {gap.cause}",
            file=sys.stderr,
        )
    gaps.clear()


def _place(text: str, now_ms: int, option: str) -> Place:
    place = parse_place(text, now_ms)
    if place is None:
        fail(f"{option} {text!r} is no place in the log; use {PLACES}", BAD_USAGE)
    return place


def _topic_filter(text: str) -> str:
    if text:
        try:
            check_topic_filter(text)
        except MqttError as error:
            fail(f"--topic: {error}", BAD_USAGE)
    return text
