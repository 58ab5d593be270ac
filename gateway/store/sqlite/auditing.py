"""The conservation ledger: that every record which was accepted is accounted for.

Offsets are the ledger. Each accepted record took the next offset of its partition in the very
transaction that stored it, so the log end counts what was accepted, across every crash; less what
a salvage jumped over, which nobody was given. Of those offsets each must be stored now, be removed
by retention (before the log start), be replaced by a later record of its key (compaction), or be
named lost by a report of damage; what none of the four accounts for is where the ledger breaks. So
that a lost end shows as well, the gateway notes now and then how far each partition went.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.store.cursors import Key
from gateway.store.ledger import LEDGER_TABLE, decode_note
from gateway.store.sqlite.catalog import OFFSET_FLOOR_SQL
from gateway.store.sqlite.schema import DATABASE_NAME
from gateway.store.sqlite.stretches import count_between
from gateway.store.sqlite.verifying import (
    OFFSETS_SQL,
    PartitionCheck,
    Reported,
    connect_snapshot,
    examine,
    reported,
)

NOTES_SQL = "SELECT key, value FROM entries WHERE table_name = ? ORDER BY key"


@dataclass(slots=True)
class Account:
    """One partition: the records it `accepted`, and what became of them."""

    stream: str
    partition: int
    accepted: int
    stored: int
    removed: int
    compacted: int
    damaged: int

    @property
    def unaccounted(self) -> int:
        """How many records nothing explains; more stored than accepted counts below zero."""
        return self.accepted - self.stored - self.removed - self.compacted - self.damaged


@dataclass(slots=True)
class ConsumerAccount:
    """One group's way through a partition: what lies behind its offset, and before it.

    `dropped_*` count what it can't read any more of what lies before it.
    """

    group: str
    stream: str
    partition: int
    accepted: int
    passed: int
    pending: int
    dropped_removed: int
    dropped_compacted: int
    dropped_damaged: int

    @property
    def unaccounted(self) -> int:
        """How many records nothing explains; below zero when it committed past the end."""
        dropped = self.dropped_removed + self.dropped_compacted + self.dropped_damaged
        return self.accepted - self.passed - self.pending - dropped


@dataclass(frozen=True, slots=True)
class Ground:
    """What of a partition's offsets was never given to records, and what is known to be lost."""

    own: PartitionCheck
    floor: int
    known: Reported
    is_volatile: bool = False
    """Whether readers may be ahead of the file: what memory alone holds isn't counted."""

    def given(self, start: int, stop: int) -> int:
        """How many offsets of a stretch were given to records."""
        start = max(start, self.floor)
        return max(stop - start, 0) - count_between(start, stop, self.known.jumps)

    def lost(self, start: int, stop: int) -> int:
        """How many records of a stretch a report of damage names."""
        return count_between(start, stop, self.known.lost)


def audit(data_dir: Path) -> dict[str, Any]:
    """Draw up the accounts of every partition and consumer group, in one snapshot.

    Raises:
        StoreError: there is no log, or it can't be read at all.
    """
    with closing(connect_snapshot(data_dir / DATABASE_NAME)) as connection:
        verdict = examine(connection)
        try:
            offsets = connection.execute(OFFSETS_SQL).fetchall()
            floor = sum(value for (value,) in connection.execute(OFFSET_FLOOR_SQL))
            notes = connection.execute(NOTES_SQL, (LEDGER_TABLE,)).fetchall()
        except sqlite3.Error as error:
            verdict.fault(f"database: {error}")
            offsets, floor, notes = [], 0, []
    known = reported(verdict)
    grounds = {
        key: Ground(
            own,
            floor if own.log_start_offset >= floor else 0,
            known[key],
            key in verdict.reservations,
        )
        for key, own in verdict.partitions.items()
    }
    accounts = [account_of(own) for own in grounds.values()]
    consumers = [
        consumer_account(group, grounds[stream, partition], offset)
        for group, stream, partition, offset in offsets
        if (stream, partition) in grounds
    ]
    ends = {key: own.next_offset for key, own in verdict.partitions.items()}
    breaks = [*verdict.faults, *find_in_notes(notes, ends)]
    return {
        "balanced": not breaks
        and not any(own.unaccounted for own in accounts)
        and not any(own.unaccounted for own in consumers),
        "streams": [asdict(own) | {"unaccounted": own.unaccounted} for own in accounts],
        "consumers": [asdict(own) | {"unaccounted": own.unaccounted} for own in consumers],
        "breaks": breaks,
    }


def account_of(ground: Ground) -> Account:
    """The account of one partition."""
    own = ground.own
    accepted = ground.given(0, own.next_offset)
    damaged = ground.lost(0, own.next_offset)
    removed = ground.given(0, own.log_start_offset) - ground.lost(0, own.log_start_offset)
    return Account(
        own.stream, own.partition, accepted, own.records, removed, own.compacted, damaged
    )


def consumer_account(group: str, ground: Ground, offset: int) -> ConsumerAccount:
    """The account of one group in one partition, whose next offset to read is `offset`."""
    own = ground.own
    stored, compacted = own.ahead.get(offset, (0, 0))
    removed = ground.given(offset, own.log_start_offset) - ground.lost(offset, own.log_start_offset)
    return ConsumerAccount(
        group,
        own.stream,
        own.partition,
        ground.given(0, own.next_offset),
        ground.given(0, min(offset, own.next_offset) if ground.is_volatile else offset),
        stored,
        max(removed, 0),
        compacted,
        ground.lost(max(offset, 0), own.next_offset),
    )


def find_in_notes(notes: list[tuple[str, bytes]], ends: Mapping[Key, int]) -> Iterator[str]:
    """What was noted of streams that are shorter now, or gone."""
    for stream, encoded in notes:
        try:
            note = decode_note(encoded)
        except (ValueError, TypeError):
            yield f"the ledger's note of {stream} is not what was written"
            continue
        moment = datetime.fromtimestamp(note.time_ms / 1000, UTC).isoformat(timespec="seconds")
        for partition, next_offset in enumerate(note.next_offsets):
            end_offset = ends.get((stream, partition))
            if end_offset is None:
                yield f"{stream}/{partition} is gone; it ended at {next_offset} on {moment}"
            elif end_offset < next_offset:
                yield (
                    f"{stream}/{partition} ends at {end_offset}, and ended at {next_offset} on "
                    f"{moment}: its last records are lost"
                )
