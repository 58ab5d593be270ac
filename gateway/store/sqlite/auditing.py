"""The conservation ledger: that every record which was accepted is accounted for.

Offsets are the ledger. Each accepted record took the next offset of its partition in the very
transaction that stored it, so the log end counts what was accepted, across every crash. Of those
offsets each must be stored now, be removed by retention (before the log start), or be named lost by
a report of damage; what none of the three accounts for is where the ledger breaks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.store.cursors import Key
from gateway.store.sqlite.schema import DATABASE_NAME
from gateway.store.sqlite.verifying import OFFSETS_SQL, PartitionCheck, connect_snapshot, verify


@dataclass(slots=True)
class Account:
    """One partition: `accepted` offsets, and what became of them."""

    stream: str
    partition: int
    accepted: int
    stored: int
    removed: int
    damaged: int

    @property
    def unaccounted(self) -> int:
        """How many records nothing explains; more stored than accepted counts below zero."""
        return self.accepted - self.stored - self.removed - self.damaged


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
    dropped_damaged: int

    @property
    def unaccounted(self) -> int:
        """How many records nothing explains; below zero when it committed past the end."""
        dropped = self.dropped_removed + self.dropped_damaged
        return self.accepted - self.passed - self.pending - dropped


def audit(data_dir: Path) -> dict[str, Any]:
    """Draw up the accounts of every partition and consumer group.

    Raises:
        StoreError: there is no log, or it can't be read at all.
    """
    verdict = verify(data_dir)
    reported = {
        (gap["stream"], gap["partition"], gap["start_offset"], gap["stop_offset"])
        for report in verdict.reports
        for gap in report.get("gaps", ())
    }
    accounts = [account_of(own, reported) for own in verdict.partitions.values()]
    connection = connect_snapshot(data_dir / DATABASE_NAME)
    try:
        rows = connection.execute(OFFSETS_SQL).fetchall()
    finally:
        connection.close()
    consumers = [
        consumer_account(group, verdict.partitions[stream, partition], offset)
        for group, stream, partition, offset in rows
        if (stream, partition) in verdict.partitions
    ]
    return {
        "balanced": verdict.is_sound
        and not any(own.unaccounted for own in accounts)
        and not any(own.unaccounted for own in consumers),
        "streams": [asdict(own) | {"unaccounted": own.unaccounted} for own in accounts],
        "consumers": [asdict(own) | {"unaccounted": own.unaccounted} for own in consumers],
        "breaks": verdict.faults,
    }


def account_of(own: PartitionCheck, reported: set[tuple[str, int, int, int]]) -> Account:
    """The account of one partition."""
    key: Key = (own.stream, own.partition)
    damaged = sum(stop - start for start, stop in own.gaps if (*key, start, stop) in reported)
    return Account(*key, own.next_offset, own.records, own.log_start_offset, damaged)


def consumer_account(group: str, own: PartitionCheck, offset: int) -> ConsumerAccount:
    """The account of one group in one partition, whose next offset to read is `offset`."""
    removed = max(own.log_start_offset - offset, 0)
    position = max(offset, own.log_start_offset)
    damaged = sum(max(stop - max(start, position), 0) for start, stop in own.gaps)
    pending = own.next_offset - position - damaged
    return ConsumerAccount(
        group,
        own.stream,
        own.partition,
        own.next_offset,
        min(offset, own.next_offset),
        max(pending, 0),
        removed,
        damaged,
    )
