"""Consumer groups on the command line: `penstock streams groups | seek | work | redrive`.

Reading for a group, which `penstock streams read --group` does, is here too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import typer

from gateway.cli.group_lines import describe_group, print_groups
from gateway.cli.main import fail
from gateway.cli.record_lines import Printer, report_gaps
from gateway.cli.working import Workshop
from gateway.clock import SystemClock
from gateway.errors import MemberFenced, StoreError, StoreUnavailable, UnknownStream
from gateway.store import (
    DELIVERIES_MAX,
    RedriveWish,
    RemoteDesk,
    SharingMember,
    StreamReader,
    Wish,
    WorkWish,
    desk_of,
    offsets_at,
    open_reader,
    parse_place,
    read_corrections,
)

DATA_DIR = Path("penstock-data")
PLACES = "earliest, latest, @OFFSET, -1h or an ISO time"
BAD_USAGE = 2
QUIET_S = 1.0
REJOIN_PAUSE_S = 0.3
DATA_OPTION = typer.Option(DATA_DIR, "--data", help="Data directory of the gateway.")
GROUP_OPTION = typer.Option(..., "--group", help="Which consumer group.")


@dataclass(frozen=True, slots=True)
class Sharing:
    """How somebody reads as a member of a group."""

    stream: str
    group: str
    member: str
    start: str
    commit_every: int
    is_followed: bool


def run_until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end; Ctrl-C is an end, too."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(work)


def list_groups(
    data: Path = DATA_OPTION,
    delete: str = typer.Option("", help="Forget this group, which nobody may be reading."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """List consumer groups: members, offsets, lag, and how long until unread records are gone."""
    asyncio.run(_delete(data, delete) if delete else _list(data, as_json=json))


def seek(
    stream: str = typer.Argument(help="Which stream."),
    group: str = GROUP_OPTION,
    to: str = typer.Option(..., "--to", help=f"Where the group is to go on: {PLACES}."),
    partition: int | None = typer.Option(None, help="Only this partition."),
    data: Path = DATA_OPTION,
) -> None:
    """Move a consumer group that nobody is reading."""
    place = parse_place(to, SystemClock().now_ms())
    if place is None:
        fail(f"--to {to!r} is no place in the log; use {PLACES}", BAD_USAGE)

    async def move() -> None:
        reader = await open_reader(data)
        try:
            extents = await reader.extents(stream)
            keys = [(stream, own.partition) for own in extents]
            if partition is not None:
                keys = [key for key in keys if key[1] == partition]
            if not keys:
                raise UnknownStream(f"stream {stream!r} has no partition {partition}")
            offsets = await offsets_at(reader, keys, place)
            if place.kind == "offset":
                offsets = dict.fromkeys(keys, place.value)
        finally:
            await reader.close()
        async with desk_of(data, SystemClock()) as access:
            await access.desk.seek(group, offsets)
        for (_, number), offset in offsets.items():
            print(f"{group}: {stream}/{number} goes on at @{offset}")

    asyncio.run(move())


def work(
    context: typer.Context,
    stream: str = typer.Argument(help="Which stream; the command and its arguments follow '--'."),
    group: str = GROUP_OPTION,
    worker: str = typer.Option("", help="Name of this worker [default: host and process id]."),
    jobs: int = typer.Option(1, min=1, max=64, help="How many commands to run at a time."),
    lease: float = typer.Option(
        30.0, min=1, help="Seconds after which a record of a dead worker goes to another."
    ),
    deliveries_max: int = typer.Option(
        DELIVERIES_MAX, min=1, help="After so many tries a record becomes a dead letter."
    ),
    backoff: float = typer.Option(
        1.0, min=0, help="Seconds before the second try; doubles with each, up to a minute."
    ),
    start: str = typer.Option("earliest", "--from", help="Where a new group begins."),
    limit: int | None = typer.Option(None, min=1, help="Stop after so many runs."),
    drain: bool = typer.Option(False, help="Stop when there is nothing to do at present."),
    data: Path = DATA_OPTION,
) -> None:
    """Run a command for each record, its payload on stdin: exit 0 is done, all else is tried again.

    Workers of one group share the records. The command finds PENSTOCK_STREAM, _PARTITION, _OFFSET,
    _TOPIC, _DEVICE, _TIME_MS and _DELIVERY in its environment.
    """
    command = [stream_arg for stream_arg in context.args if stream_arg != "--"]
    if not command:
        fail("name a command after '--'", BAD_USAGE)
    if shutil.which(command[0]) is None:
        fail(f"there is no command {command[0]!r}", BAD_USAGE)
    if start not in ("earliest", "latest"):
        fail(f"--from {start!r}: a new group begins at earliest or latest", BAD_USAGE)
    own = worker or f"{os.uname().nodename}-{os.getpid()}"
    wish = WorkWish(group, stream, own, 1, int(lease * 1000), deliveries_max, start)
    workshop = Workshop(wish, command, jobs, backoff, limit, is_drained=drain)
    run_until_interrupted(_work(data, workshop))


def redrive(
    stream: str = typer.Option("", help="Only letters of this stream."),
    cause: str = typer.Option("", help="Only letters whose cause contains this."),
    limit: int | None = typer.Option(None, min=1, help="At most so many."),
    again: bool = typer.Option(False, help="Also those that were put back before."),
    data: Path = DATA_OPTION,
) -> None:
    """Put dead letters back at the end of the stream and partition that they came from."""

    async def put_back() -> None:
        await _check_log(data)
        async with desk_of(data, SystemClock()) as access:
            done = await access.desk.redrive(RedriveWish(stream, cause, limit, again))
        print(f"put back {done.records} records")
        if done.passed_over:
            print(f"{done.passed_over} were put back before; --again puts them back once more")

    asyncio.run(put_back())


async def read_shared(data: Path, sharing: Sharing, printer: Printer) -> None:
    """Print what the group has not had yet, as one of its members, and commit what is printed."""
    await _check_log(data)
    while True:
        reader = await open_reader(data)
        try:
            printer.corrections = await read_corrections(reader)
            if await _read_while_member(data, reader, sharing, printer):
                return
        except (MemberFenced, StoreUnavailable):
            # Whoever wrote the log has stopped, or took us for dead: what isn't committed is
            # printed once more, by us or by another.
            pass
        finally:
            await reader.close()
        await asyncio.sleep(REJOIN_PAUSE_S)


async def _read_while_member(
    data: Path, reader: StreamReader, sharing: Sharing, printer: Printer
) -> bool:
    """Read until there is no more to do, which is True, or the desk makes way for a gateway."""
    wish = Wish(sharing.group, [sharing.stream], sharing.member, sharing.start)
    async with desk_of(data, SystemClock()) as access:
        member = await SharingMember.join(reader, access.desk, wish)
        yielding = asyncio.ensure_future(access.yielding.wait())
        try:
            while not access.yielding.is_set() and not printer.is_done:
                records_max = min(sharing.commit_every, printer.left)
                polling = asyncio.ensure_future(member.poll(records_max=records_max))
                timeout_s = None if sharing.is_followed else QUIET_S
                await asyncio.wait(
                    {polling, yielding}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not polling.done():
                    polling.cancel()
                    await asyncio.gather(polling, return_exceptions=True)
                    return not access.yielding.is_set()
                report_gaps(list(member.gaps))
                offsets = {}
                for batch in polling.result():
                    printer.print(batch)
                    offsets[batch.stream, batch.partition] = batch.next_offset
                await member.commit(offsets=offsets)
            return printer.is_done
        finally:
            yielding.cancel()
            await member.close()


async def _work(data: Path, workshop: Workshop) -> None:
    await _check_log(data)
    while True:
        try:
            async with desk_of(data, SystemClock()) as access:
                if await workshop.run(access.desk, access.yielding):
                    return
        except StoreUnavailable:
            # What was out is given out again by whoever writes the log next.
            pass
        await asyncio.sleep(REJOIN_PAUSE_S)


async def _list(data: Path, *, as_json: bool) -> None:
    reader = await open_reader(data)
    try:
        now_ms = SystemClock().now_ms()
        views = await _views(data)
        groups = [
            await describe_group(reader, group, views, now_ms) for group in await reader.groups()
        ]
    finally:
        await reader.close()
    if as_json:
        for group in groups:
            print(orjson.dumps(group).decode())
    elif groups:
        print_groups(groups)
    else:
        print(f"{data} has no consumer group yet")


async def _views(data: Path) -> dict[str, Any] | None:
    """Who is in which group at present; None when this user may not ask."""
    try:
        desk = await RemoteDesk.connect(data)
    except StoreError:
        return None
    if desk is None:
        return {}
    try:
        return {view.name: view for view in await desk.views()}
    except StoreUnavailable:
        return {}
    finally:
        await desk.close()


async def _delete(data: Path, group: str) -> None:
    await _check_log(data)
    async with desk_of(data, SystemClock()) as access:
        await access.desk.delete(group)
    print(f"{group}: forgotten")


async def _check_log(data: Path) -> None:
    """See that there is a log before anything is made.

    Raises:
        StoreUnavailable: there is none.
    """
    await (await open_reader(data)).close()
