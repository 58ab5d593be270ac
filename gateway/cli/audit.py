"""`penstock audit`: whether everything that was accepted is accounted for."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson
import typer

from gateway.cli.backup import DATA_DIR
from gateway.cli.session_accounts import account_for_sessions, account_for_shares
from gateway.errors import MqttError
from gateway.events import Record
from gateway.mqtt import decode_publish_properties
from gateway.store import Place, Scan, audit_log, offsets_at, open_reader

PROPERTY = "penstock-seq"
PAYLOAD_PREFIX = "payload."
GAPS_SHOWN_MAX = 1000

app = typer.Typer(help="Prove that every accepted record is accounted for.")


@app.command()
def audit(
    data: Path = typer.Option(DATA_DIR, "--data", help="Data directory of the gateway."),
    seq: str = typer.Option(
        "", help="Look for gaps in the devices' own numbers: 'penstock-seq' or 'payload.FIELD'."
    ),
    stream: str = typer.Option("telemetry", help="Stream that --seq looks through."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Prove accepted = stored + removed + replaced + damaged for each stream, and for groups.

    Exits 1 when something is missing that nothing explains. Gaps in the devices' own numbers are
    shown, and don't fail: they were lost before the gateway.
    """
    if seq and seq != PROPERTY and not seq.startswith(PAYLOAD_PREFIX):
        raise typer.BadParameter("--seq takes 'penstock-seq' or 'payload.FIELD'")
    found = audit_log(data)
    asyncio.run(add_sessions(data, found))
    if seq:
        found["device_gaps"] = asyncio.run(device_gaps(data, stream, seq))
    if json:
        typer.echo(orjson.dumps(found).decode())
    else:
        print_accounts(found)
    if not found["balanced"]:
        raise typer.Exit(1)


def print_accounts(found: dict[str, Any]) -> None:
    """The accounts for people."""
    for own in found["streams"]:
        typer.echo(
            f"{own['stream']}/{own['partition']}: accepted {own['accepted']} = stored "
            f"{own['stored']} + removed by retention {own['removed']} + replaced "
            f"{own['compacted']} + damaged {own['damaged']}"
            + (f"; UNACCOUNTED {own['unaccounted']}" if own["unaccounted"] else "")
        )
    for own in found["consumers"]:
        typer.echo(
            f"group {own['group']} {own['stream']}/{own['partition']}: accepted {own['accepted']} "
            f"= passed {own['passed']} + pending {own['pending']} + dropped by retention "
            f"{own['dropped_removed']} + replaced {own['dropped_compacted']} + dropped as damaged "
            f"{own['dropped_damaged']}"
            + (f"; UNACCOUNTED {own['unaccounted']}" if own["unaccounted"] else "")
        )
    for own in found["sessions"]:
        typer.echo(
            f"session {own['client']}: owed {own['owed']} = delivered {own['delivered']} + expired "
            f"{own['expired']} + dropped {own['dropped']} + in flight {own['in_flight']}; "
            f"{own['pending']} more in the log"
            + (f"; UNACCOUNTED {own['unaccounted']}" if own["unaccounted"] else "")
        )
    for own in found["shares"]:
        typer.echo(
            f"{own['share']}: matched {own['matched']} = given {own['given']} + expired "
            f"{own['expired']} + in flight {own['in_flight']}; {own['pending']} more in the log"
            + (f"; {own['lost_offsets']} offsets were lost before" if own["lost_offsets"] else "")
            + (f"; UNACCOUNTED {own['unaccounted']}" if own["unaccounted"] else "")
        )
    for line in found["breaks"]:
        typer.echo(f"break: {line}")
    for gap in found.get("device_gaps", ()):
        typer.echo(
            f"device {gap['device']}: {gap['from']} to {gap['to']} never arrived "
            f"(seen before offset {gap['offset']} of partition {gap['partition']})"
        )
    typer.echo("balanced" if found["balanced"] else "not balanced")


async def add_sessions(data: Path, found: dict[str, Any]) -> None:
    """Add the accounts of durable sessions and shared groups, and what breaks them."""
    reader = await open_reader(data)
    try:
        found["sessions"], breaks = await account_for_sessions(reader)
        found["shares"], further = await account_for_shares(reader)
    finally:
        await reader.close()
    breaks += further
    found["breaks"] = [*found["breaks"], *breaks]
    found["balanced"] = found["balanced"] and not breaks


async def device_gaps(data: Path, stream: str, seq: str) -> list[dict[str, Any]]:
    """Numbers that a device skipped; one that begins again at a lower number has restarted."""
    reader = await open_reader(data)
    try:
        partitions = len(await reader.extents(stream))
        keys = [(stream, partition) for partition in range(partitions)]
        scan = Scan(
            reader,
            await offsets_at(reader, keys, Place("earliest")),
            await offsets_at(reader, keys, Place("latest")),
        )
        last: defaultdict[tuple[str, str], int | None] = defaultdict(lambda: None)
        gaps: list[dict[str, Any]] = []
        async for batch in scan.batches():
            for record in batch.records():
                number = number_of(record, seq)
                if number is None:
                    continue
                before = last[record.device, record.client]
                if before is not None and number > before + 1 and len(gaps) < GAPS_SHOWN_MAX:
                    gaps.append(
                        {
                            "device": record.device,
                            "client": record.client,
                            "from": before + 1,
                            "to": number - 1,
                            "partition": record.partition,
                            "offset": record.offset,
                        }
                    )
                last[record.device, record.client] = number
        return gaps
    finally:
        await reader.close()


def number_of(record: Record, seq: str) -> int | None:
    """The device's own number of a record; None when it carries none."""
    value: Any
    try:
        if seq == PROPERTY:
            properties = decode_publish_properties(record.properties)
            value = dict(properties.user_properties).get(PROPERTY)
        else:
            value = orjson.loads(record.payload)
            for name in seq.removeprefix(PAYLOAD_PREFIX).split("."):
                value = value[name]
        return int(value)
    except (MqttError, KeyError, TypeError, ValueError):
        return None
