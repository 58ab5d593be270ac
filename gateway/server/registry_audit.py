"""Events about every change of the registry and of enrolment groups: in the commit that makes it.

So none of them is lost, and none tells of what did not happen; whether a running gateway makes the
change or a command on a stopped one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from gateway.clock import Clock
from gateway.devices import (
    DEVICE_EDIT,
    DEVICES_TABLE,
    GROUP_EDIT,
    GROUPS_TABLE,
    DeviceInvalid,
    Edit,
    decode_device,
    decode_group,
    edit_runs,
)
from gateway.events import Run
from gateway.server.audit import AUDIT_SPEC
from gateway.store import Change, StreamStore, TableDesk

Decode = Callable[[bytes], msgspec.Struct]
TABLES: dict[str, tuple[str, Decode]] = {
    DEVICES_TABLE: (DEVICE_EDIT, decode_device),
    GROUPS_TABLE: (GROUP_EDIT, decode_group),
}


async def audit_edits(store: StreamStore, tables: TableDesk, clock: Clock) -> None:
    """Let changes be told of in the stream `audit`, which is made where there is none."""
    await store.ensure(AUDIT_SPEC)
    accompany_edits(tables, clock)


def accompany_edits(tables: TableDesk, clock: Clock) -> None:
    """Let changes be told of in the stream `audit`, which is there."""
    for table, (kind, decode) in TABLES.items():
        tables.accompany(table, author_of(kind, decode, clock))


def author_of(
    kind: str, decode: Decode, clock: Clock
) -> Callable[[Sequence[Change], str], Sequence[Run]]:
    """What writes the events of one table."""

    def entry(encoded: bytes | None) -> msgspec.Struct | None:
        try:
            return None if encoded is None else decode(encoded)
        except DeviceInvalid:
            # It is told of as if there were none: no entry that can't be read counts for anything.
            return None

    def write(changes: Sequence[Change], by: str) -> Sequence[Run]:
        edits = [Edit(one.key, entry(one.before), entry(one.value)) for one in changes]
        return edit_runs(kind, edits, by, clock.now_ms())

    return write
