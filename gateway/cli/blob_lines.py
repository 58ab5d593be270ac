"""Payloads that lie in blobs, as the commands show, fetch and write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import typer

from gateway.cli.record_lines import Line
from gateway.clock import SystemClock
from gateway.errors import PenstockError
from gateway.events import Flag, Record
from gateway.store import BlobStore, decode_reference


class Payloads:
    """The payloads of one data directory's records, wherever they lie."""

    def __init__(self, data: Path) -> None:
        self._blobs = BlobStore(data, SystemClock())

    def whole(self, payload: bytes, flags: int) -> tuple[bytes, int]:
        """Payload and flags as they were published; as they are when the blob is gone."""
        reference = decode_reference(payload) if flags & Flag.CLAIM else None
        if reference is None:
            return payload, flags
        content = self._blobs.get(reference.digest)
        if content is None:
            typer.echo(f"penstock: blob {reference.digest} is gone or damaged", err=True)
            return payload, flags
        return content, flags & ~Flag.CLAIM

    def whole_record(self, record: Record) -> Record:
        """The record as it was published."""
        payload, flags = self.whole(record.payload, record.flags)
        return record if flags == record.flags else record._replace(payload=payload, flags=flags)

    def shown_by(self, show: Callable[[Line], bytes]) -> Callable[[Line], bytes]:
        """What shows a record with its whole payload."""

        def show_whole(line: Line) -> bytes:
            payload, flags = self.whole(line.payload, line.flags)
            return show(line._replace(payload=payload, flags=flags))

        return show_whole


def blob(
    digest: str = typer.Argument(help="The SHA-256 in the reference."),
    data: Path = typer.Option(
        Path("penstock-data"), "--data", help="Data directory of the gateway."
    ),
    output: Path | None = typer.Option(
        None, "--output", "-o", help="The file to write; a part of it is never left behind."
    ),
    json: bool = typer.Option(False, "--json", help="Print what it is instead of its bytes."),
) -> None:
    """Fetch a payload that was too large for the log: to a file, or to standard output."""
    store = BlobStore(data, SystemClock())
    try:
        content = store.get(digest)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if content is None:
        raise PenstockError(f"there is no whole blob {digest} in {store.root}")
    if output is not None:
        output.write_bytes(content)
    if json:
        typer.echo(orjson.dumps({"digest": digest, "size_bytes": len(content)}).decode())
    elif output is None:
        typer.get_binary_stream("stdout").write(content)
