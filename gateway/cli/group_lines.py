"""Consumer groups as `penstock streams groups` prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.cli.record_lines import size_text
from gateway.errors import GroupRefused
from gateway.store import GroupOffsets, GroupView, StreamReader, lags_of, read_entry, shortest

HEADINGS = ("GROUP", "KIND", "MEMBERS", "STREAM", "BEHIND", "SIZE", "AGE", "TIME TO LOSS")
UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


async def describe_group(
    reader: StreamReader, group: GroupOffsets, views: Mapping[str, GroupView] | None, now_ms: int
) -> dict[str, Any]:
    """A group for machines; `members` is None when nobody could be asked for them."""
    lags = await lags_of(reader, group, now_ms)
    view = None if views is None else views.get(group.name)
    members = [] if view is None else view.members
    return {
        "group": group.name,
        "kind": await kind_of(reader, group.name),
        "generation": group.generation if view is None else max(group.generation, view.generation),
        "members": None
        if views is None
        else [
            {
                "member": seat[0],
                "is_present": seat[2],
                "partitions": [f"{stream}/{partition}" for stream, partition in seat[3]],
            }
            for seat in members
        ],
        "records": sum(lag.records for lag in lags),
        "stored_bytes": sum(lag.stored_bytes for lag in lags),
        "lost_records": sum(lag.lost_records for lag in lags),
        "age_ms": max((lag.age_ms for lag in lags if lag.age_ms is not None), default=None),
        "time_to_loss_ms": shortest([lag.time_to_loss_ms for lag in lags]),
        "partitions": [lag._asdict() for lag in lags],
    }


async def kind_of(reader: StreamReader, group: str) -> str:
    """What uses a group: readers, workers, or the gateway itself."""
    value = await reader.entry("groups", group)
    if value is None:
        return "own"
    try:
        return read_entry(group, value).kind
    except GroupRefused:
        return "unknown"


def print_groups(groups: Sequence[dict[str, Any]]) -> None:
    """The groups for people, one line for each stream that a group reads."""
    rows = [HEADINGS]
    for group in groups:
        members = "?" if group["members"] is None else str(len(group["members"]))
        for stream in sorted({own["stream"] for own in group["partitions"]}) or ["-"]:
            own = [lag for lag in group["partitions"] if lag["stream"] == stream]
            age_ms = max((lag["age_ms"] for lag in own if lag["age_ms"] is not None), default=None)
            rows.append(
                (
                    group["group"],
                    group["kind"],
                    members,
                    stream,
                    str(sum(lag["records"] for lag in own)),
                    size_text(sum(lag["stored_bytes"] for lag in own)),
                    span_text(age_ms),
                    span_text(shortest([lag["time_to_loss_ms"] for lag in own])),
                )
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def span_text(span_ms: int | None) -> str:
    """A length of time in the unit that keeps it short."""
    if span_ms is None:
        return "-"
    for unit, unit_ms in UNITS_MS:
        if span_ms >= unit_ms:
            return f"{span_ms / unit_ms:.1f} {unit}"
    return f"{span_ms} ms"
