"""`penstock streams`: what the log holds, beside a running gateway or on a stopped one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import typer

from gateway.cli import groups
from gateway.cli.blob_lines import Payloads, blob
from gateway.cli.compact import compact
from gateway.cli.main import fail
from gateway.cli.newest import LAST_MAX, find_newest
from gateway.cli.record_lines import (
    Choice,
    Line,
    Printer,
    iso_time,
    json_line,
    report_gaps,
    size_text,
    text_line,
)
from gateway.cli.safety import verify
from gateway.cli.salvage import salvage
from gateway.cli.transfer import export_stream, import_stream
from gateway.clock import SystemClock
from gateway.documents import did_you_mean
from gateway.errors import MqttError, OffsetOutOfRange, UnknownStream
from gateway.mqtt import check_topic_filter
from gateway.store import (
    Extent,
    Place,
    Scan,
    StreamReader,
    StreamSpec,
    offsets_at,
    open_reader,
    parse_place,
    read_corrections,
)

DATA_DIR = Path("penstock-data")
PLACES = "earliest, latest, @OFFSET, -1h or an ISO time"
BAD_USAGE = 2

Key = tuple[str, int]
DATA_OPTION = typer.Option(DATA_DIR, "--data", help="Data directory of the gateway.")

app = typer.Typer(help="Look into the log.", no_args_is_help=True)
app.command()(verify)
app.command("export")(export_stream)
app.command("import")(import_stream)
app.command("groups")(groups.list_groups)
app.command("seek")(groups.seek)
app.command("work", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    groups.work
)
app.command("redrive")(groups.redrive)
app.command("compact")(compact)
app.command("salvage")(salvage)
app.command("blob")(blob)


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
    last: int | None = typer.Option(
        None, min=1, max=LAST_MAX, help="Only the newest so many of the chosen records."
    ),
    follow: bool = typer.Option(False, "--follow", help="Go on with what arrives, until Ctrl-C."),
    group: str = typer.Option(
        "", help="Be a member of this consumer group: share its partitions, commit what is printed."
    ),
    member: str = typer.Option(
        "", help="With --group: a name of one's own, whose partitions wait for its return."
    ),
    commit_every: int = typer.Option(
        1000, min=1, help="With --group: commit after so many records, or when there are no more."
    ),
    profiles: list[Path] = typer.Option(
        [], help="Profile files, or folders of them: show what they make of the payloads."
    ),
    blobs: bool = typer.Option(
        False, "--blobs", help="Show payloads that lie in blobs, not the references to them."
    ),
    json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Print records, oldest first; those of several partitions in the order they were committed."""
    if follow and stop:
        fail("--follow has no end; leave out --to", BAD_USAGE)
    if last is not None and (limit is not None or group):
        fail("--last goes with neither --limit nor --group", BAD_USAGE)
    choice = Choice(_topic_filter(topic), device, limit)
    show = _show(profiles, as_json=json)
    printer = Printer(choice, Payloads(data).shown_by(show) if blobs else show)
    if group:
        if stop or partition is not None or start not in ("earliest", "latest"):
            fail("a group has its own place; use 'penstock streams seek' to move it", BAD_USAGE)
        sharing = groups.Sharing(stream, group, member, start, commit_every, is_followed=follow)
        groups.run_until_interrupted(groups.read_shared(data, sharing, printer))
        return
    now_ms = SystemClock().now_ms()
    wish = Wish(
        stream,
        partition,
        _place(start, now_ms, "--from"),
        _place(stop or "latest", now_ms, "--to"),
        is_followed=follow,
        last=choice._replace(limit=last) if last else None,
    )
    groups.run_until_interrupted(_read(data, wish, printer))


def _show(profiles: list[Path], *, as_json: bool) -> Callable[[Line], bytes]:
    """How a record is shown; profiles are imported when they are asked for."""
    if not profiles:
        return json_line if as_json else text_line
    from gateway.cli.decoded_lines import DecodedLines
    from gateway.devices import load_profiles

    return DecodedLines(load_profiles(profiles)).show(as_json=as_json)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which stretch of the log somebody wants to see."""

    stream: str
    partition: int | None
    start: Place
    stop: Place
    is_followed: bool
    last: Choice | None = None
    """Of which records only the newest are wanted, as many as its limit."""


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


async def _read(data: Path, wish: Wish, printer: Printer) -> None:
    reader = await open_reader(data)
    try:
        partitions = await _partitions(reader, wish)
        starts = await offsets_at(reader, partitions, wish.start)
        if wish.start.kind == "offset":
            await _check_offset(reader, partitions, wish.start.value)
        stops = await offsets_at(reader, partitions, wish.stop)
        printer.corrections = await read_corrections(reader)
        if wish.last is not None:
            batches, gaps = await find_newest(reader, starts, stops, wish.last)
            report_gaps(gaps)
            for batch in batches:
                printer.print(batch)
        else:
            await _print_all(Scan(reader, starts, stops), printer)
        if wish.is_followed and not printer.is_done:
            await _follow(reader, wish, stops, printer)
    finally:
        await reader.close()


async def _print_all(scan: Scan, printer: Printer) -> None:
    async for batch in scan.batches():
        printer.print(batch)
        report_gaps(scan.gaps)
        if printer.is_done:
            return
    report_gaps(scan.gaps)


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
        report_gaps(list(tail.gaps))


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
