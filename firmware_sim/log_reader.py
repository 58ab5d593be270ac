"""Reads the log as its users do: by running `penstock streams read`, one JSON object a line."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from firmware_sim.failures import SimulationFailed

PENSTOCK = (sys.executable, "-m", "gateway.cli")
LINE_BYTES_MAX = 64 << 20
PAYLOAD_KEY = b',"payload":'
WRITTEN = "payload_as_written"


def iso_time(time_ms: int) -> str:
    """Write a moment as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(time_ms / 1_000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_arguments(stream: str, data_dir: Path, start: str, *extra: str) -> list[str]:
    """The command line that reads `stream` from `start`."""
    return [
        *PENSTOCK, "streams", "read", stream,
        "--from", start, "--json", "--data", str(data_dir), *extra,
    ]  # fmt: skip


async def read_log(stream: str, data_dir: Path, start: str) -> AsyncIterator[dict[str, Any]]:
    """Every record of `stream` from `start` on that is in the log now, in the log's order.

    Raises:
        SimulationFailed: the command failed; the message is its own last line.
    """
    command = await asyncio.create_subprocess_exec(
        *read_arguments(stream, data_dir, start),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
    )
    assert command.stdout is not None and command.stderr is not None  # noqa: S101 - both are pipes
    complaint = asyncio.create_task(command.stderr.read())
    try:
        async for line in command.stdout:
            yield parse_line(line)
        status = await command.wait()
    finally:
        if command.returncode is None:
            command.kill()
            await command.wait()
    if status:
        said = (await complaint).decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"exit status {status}"
        raise SimulationFailed(f"can't read stream '{stream}' in {data_dir}: {why}")
    await complaint


def parse_line(line: bytes) -> dict[str, Any]:
    """Read one record; a payload that is JSON is kept as it was written, too.

    A damaged number may be valid and not in its shortest form: `3.90` is not what `3.9` was.
    """
    record: dict[str, Any] = orjson.loads(line)
    # Quotes within a text are escaped, so that this is the key itself.
    _, found, rest = line.rstrip().partition(PAYLOAD_KEY)
    if found:
        written = rest.removesuffix(b"}")
        with contextlib.suppress(orjson.JSONDecodeError):
            if orjson.loads(written) == record["payload"]:
                record[WRITTEN] = written
    return record


def payload_bytes(record: dict[str, Any]) -> bytes:
    """The payload of a record as it was published."""
    written = record.get(WRITTEN)
    if isinstance(written, bytes):
        return written
    encoded = record.get("payload_base64")
    if isinstance(encoded, str):
        return base64.b64decode(encoded)
    return orjson.dumps(record.get("payload"))
