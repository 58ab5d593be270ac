"""`penstock streams export` and `import`: records as files that other programs read, and back."""

from __future__ import annotations

import asyncio
import base64
import csv
import gzip
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import typer

from gateway.cli.blob_lines import Payloads
from gateway.clock import SystemClock
from gateway.errors import PenstockError, StoreError
from gateway.events import Flag, Origin, Record, Run
from gateway.mqtt import check_topic_filter, matches
from gateway.store import (
    CLAIM_BYTES,
    BlobStore,
    Put,
    Reference,
    Scan,
    StoreOptions,
    StreamSpec,
    claim_puts,
    encode_reference,
    offsets_at,
    open_reader,
    open_store,
    parse_place,
    partition_of,
)

DATA_DIR = Path("penstock-data")
COLUMNS = (
    "stream",
    "partition",
    "offset",
    "time_ms",
    "topic",
    "device",
    "client",
    "flags",
    "properties_base64",
    "payload_base64",
)
NUMBERS = ("partition", "offset", "time_ms", "flags")
ROWS_AT_ONCE = 10_000
APPENDED_AT_ONCE = 1000
Row = dict[str, Any]


class Format(StrEnum):
    """What a file of records may be."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


def export_stream(
    stream: str = typer.Argument(help="Which stream."),
    to: Path = typer.Option(..., "--to", help="File to write; '.gz' compresses JSON lines."),
    data: Path = typer.Option(DATA_DIR, "--data", help="Data directory of the gateway."),
    format: Format | None = typer.Option(None, "--format", help="Default: by the file's ending."),
    start: str = typer.Option("earliest", "--from", help="Where to begin."),
    stop: str = typer.Option("latest", "--to-time", help="Where to end, that excluded."),
    topic: str = typer.Option("", help="Only topics that this MQTT filter matches."),
    device: str = typer.Option("", help="Only this device."),
) -> None:
    """Write the records of a stream to a file, which is there whole or not at all."""
    if topic:
        check_topic_filter(topic)
    chosen = format or format_of(to)

    def wanted(record: Record) -> bool:
        return (not device or record.device == device) and (
            not topic or matches(topic, record.topic)
        )

    draft = to.with_name(f".{to.name}.new")
    try:
        with closing(WRITERS[chosen](draft, to.name.endswith(".gz"))) as writer:
            count = asyncio.run(_export(data, stream, start, stop, wanted, writer))
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.rename(to)
    finally:
        draft.unlink(missing_ok=True)
    typer.echo(f"{count} records of {stream} are in {to}")


def import_stream(
    source: Path = typer.Argument(help="File that 'penstock streams export' wrote."),
    stream: str = typer.Option(..., "--stream", help="Stream to append to; made if need be."),
    data: Path = typer.Option(DATA_DIR, "--data", help="Data directory of a stopped gateway."),
    format: Format | None = typer.Option(None, "--format", help="Default: by the file's ending."),
    partitions: int = typer.Option(4, help="Partitions of a stream that is made."),
) -> None:
    """Append the records of a file to a stream of a stopped gateway.

    Topic, device, client, flags, properties, payload and time stay; offsets are new. A time before
    that of the partition's last record becomes that one's, since times never run backwards.
    """
    if not source.is_file():
        raise StoreError(f"there is no file {source}; name one that an export wrote")
    rows = READERS[format or format_of(source)](source)
    count = asyncio.run(_import(data, stream, partitions, rows, source))
    typer.echo(f"{count} records of {source} are in {stream}")


def open_new(path: Path, *, is_compressed: bool) -> BinaryIO:
    """Open a file to be written from its start, compressed or not; the caller closes it."""
    if is_compressed:
        return cast(BinaryIO, gzip.open(path, "wb"))
    return path.open("wb")


class LineWriter:
    """JSON lines, or with `.gz` compressed ones."""

    def __init__(self, path: Path, is_compressed: bool) -> None:
        self._file = open_new(path, is_compressed=is_compressed)

    def write(self, rows: list[Row]) -> None:
        self._file.write(b"".join(orjson.dumps(row) + b"\n" for row in rows))

    def close(self) -> None:
        self._file.close()


class CsvWriter:
    """Comma-separated values with a header."""

    def __init__(self, path: Path, is_compressed: bool) -> None:
        raw = open_new(path, is_compressed=is_compressed)
        self._file = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, COLUMNS)
        self._writer.writeheader()

    def write(self, rows: list[Row]) -> None:
        self._writer.writerows(rows)

    def close(self) -> None:
        self._file.close()


class ParquetWriter:
    """Parquet, with the extra of that name."""

    def __init__(self, path: Path, is_compressed: bool) -> None:
        self._arrow = arrow()
        kinds = self._arrow.int64(), self._arrow.string()
        self._schema = self._arrow.schema(
            [(name, kinds[0] if name in NUMBERS else kinds[1]) for name in COLUMNS]
        )
        self._writer = self._arrow.parquet.ParquetWriter(path, self._schema)

    def write(self, rows: list[Row]) -> None:
        self._writer.write_table(self._arrow.Table.from_pylist(rows, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


Writer = LineWriter | CsvWriter | ParquetWriter
WRITERS: dict[Format, Callable[[Path, bool], Writer]] = {
    Format.jsonl: LineWriter,
    Format.csv: CsvWriter,
    Format.parquet: ParquetWriter,
}


def arrow() -> Any:
    """The library that reads and writes Parquet.

    Raises:
        PenstockError: it isn't installed.
    """
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError as error:
        raise PenstockError(
            "Parquet needs pyarrow; install it with: pip install 'penstock[parquet]'"
        ) from error


def read_lines(path: Path) -> Iterator[Row]:
    """The rows of JSON lines."""
    with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def read_csv(path: Path) -> Iterator[Row]:
    """The rows of comma-separated values."""
    csv.field_size_limit(sys.maxsize)
    is_compressed = path.name.endswith(".gz")
    with (
        gzip.open(path, "rt", encoding="utf-8", newline="")
        if is_compressed
        else path.open(encoding="utf-8", newline="")
    ) as file:
        yield from csv.DictReader(file)


def read_parquet(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file."""
    for batch in arrow().parquet.ParquetFile(path).iter_batches(ROWS_AT_ONCE):
        yield from batch.to_pylist()


READERS: dict[Format, Callable[[Path], Iterator[Row]]] = {
    Format.jsonl: read_lines,
    Format.csv: read_csv,
    Format.parquet: read_parquet,
}


def format_of(path: Path) -> Format:
    """What a file is by its ending: JSON lines unless it says otherwise."""
    ending = path.name.removesuffix(".gz").rpartition(".")[2]
    return Format(ending) if ending in ("csv", "parquet") else Format.jsonl


def row_of(record: Record) -> Row:
    """A record as a file has it."""
    return {
        "stream": record.stream,
        "partition": record.partition,
        "offset": record.offset,
        "time_ms": record.arrival_ms,
        "topic": record.topic,
        "device": record.device,
        "client": record.client,
        "flags": record.flags,
        "properties_base64": base64.b64encode(record.properties).decode(),
        "payload_base64": base64.b64encode(record.payload).decode(),
    }


async def _export(
    data: Path,
    stream: str,
    start: str,
    stop: str,
    wanted: Callable[[Record], bool],
    writer: Writer,
) -> int:
    reader = await open_reader(data)
    try:
        keys = [
            (spec.name, number)
            for spec in await reader.streams()
            if spec.name == stream
            for number in range(spec.partitions)
        ]
        if not keys:
            await reader.bounds(stream, 0)
        now_ms = SystemClock().now_ms()
        places = [parse_place(text, now_ms) for text in (start, stop)]
        if places[0] is None or places[1] is None:
            raise PenstockError(
                "--from and --to-time take earliest, latest, @OFFSET, -1h or a time"
            )
        starts = await offsets_at(reader, keys, places[0])
        stops = await offsets_at(reader, keys, places[1])
        scan = Scan(reader, starts, stops)
        payloads = Payloads(data)
        count = 0
        async for batch in scan.batches():
            rows = [
                row_of(payloads.whole_record(record))
                for record in batch.records()
                if wanted(record)
            ]
            writer.write(rows)
            count += len(rows)
        for gap in scan.gaps:
            typer.echo(
                f"penstock: {gap.stream}/{gap.partition}: offsets {gap.start_offset} to "
                f"{gap.stop_offset - 1} are {gap.cause}",
                err=True,
            )
        return count
    finally:
        await reader.close()


async def _import(
    data: Path, stream: str, partitions: int, rows: Iterator[Row], source: Path
) -> int:
    store = await open_store(StoreOptions(data), SystemClock())
    try:
        specs = {spec.name: spec for spec in await store.streams()}
        if stream not in specs:
            await store.ensure(StreamSpec(stream, partitions, retention_age_ms=None))
        count = specs[stream].partitions if stream in specs else partitions
        done = 0
        runs: list[Run] = []
        puts: list[Put] = []
        blobs = BlobStore(data, SystemClock())
        for number, row in enumerate(rows, 1):
            try:
                runs.append(run := run_of(row, stream, count))
                puts += keep_large(run, blobs)
            except (KeyError, TypeError, ValueError) as error:
                raise StoreError(
                    f"{source}:{number}: not a record of an export: {error!r}; "
                    f"{done} records before it are in"
                ) from error
            if len(runs) == APPENDED_AT_ONCE:
                await store.append(runs, puts)
                done += len(runs)
                runs, puts = [], []
        await store.append(runs, puts)
        return done + len(runs)
    finally:
        await store.close()


def keep_large(run: Run, blobs: BlobStore) -> list[Put]:
    """Let a record with a large payload refer to a blob; returns the changes that belong to it."""
    (payload,) = run.payloads
    if len(payload) > CLAIM_BYTES:
        reference = Reference(blobs.put(payload), len(payload))
        run.payloads = [encode_reference(reference)]
        run.flags = bytes((run.flags[0] | Flag.CLAIM,))
    return claim_puts([run])


def run_of(row: Row, stream: str, partitions: int) -> Run:
    """A row of a file as a record to append.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    topic, device = str(row["topic"]), str(row["device"])
    properties = base64.b64decode(row["properties_base64"], validate=True)
    return Run(
        stream,
        partition_of(device, partitions),
        str(row["client"]),
        int(row["time_ms"]),
        [Origin(topic, device)],
        [base64.b64decode(row["payload_base64"], validate=True)],
        bytes((int(row["flags"]),)),
        [properties] if properties else None,
    )
