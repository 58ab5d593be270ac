"""Offsets that memory streams may give out before the file holds them, so that none comes twice.

`gateway.store.sqlite.unwritten` says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import aiosqlite
import orjson

from gateway.store.batch_format import BatchCompressor, pack
from gateway.store.cursors import Key
from gateway.store.sqlite.catalog import Catalog, PartitionState
from gateway.store.sqlite.drafts import Statement
from gateway.store.sqlite.rows import BatchRow, checksum_of, insert_sql
from gateway.store.sqlite.schema import FENCE_SPAN, batch_id
from gateway.store.sqlite.stretches import Stretch

UNWRITTEN_TABLE = "unwritten"
RESERVED_OFFSETS = 1 << 20
STRETCHES_MAX = 1_000
READ_SQL = "SELECT key, value FROM entries WHERE table_name = ? ORDER BY key"
PUT_SQL = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)"
DELETE_SQL = "DELETE FROM entries WHERE table_name = ? AND key = ?"


@dataclass(slots=True)
class Reservation:
    """Up to which offset a partition may give out, and what was lost of what it gave out before.

    `reserved` is 0 when nothing is given out beyond what the file holds.
    """

    reserved: int = 0
    lost: list[Stretch] = field(default_factory=list)

    def lose(self, start: int, stop: int) -> None:
        """Note a stretch; of too many, the oldest two become one of the same length."""
        self.lost.append((start, stop))
        if len(self.lost) > STRETCHES_MAX:
            (first, last), (second, end) = self.lost[:2]
            self.lost[:2] = [(second - (last - first), end)]


def name_of(key: Key) -> str:
    """The key of a partition in the table."""
    return f"{key[0]}/{key[1]}"


def decode_reservations(rows: Iterator[tuple[str, bytes]]) -> Iterator[tuple[Key, Reservation]]:
    """The reservations that rows of the table hold.

    Raises:
        ValueError, TypeError, KeyError: a row isn't what `reservation_statement` writes.
    """
    for name, encoded in rows:
        stream, _, partition = name.rpartition("/")
        content = orjson.loads(encoded)
        lost = [(int(start), int(stop)) for start, stop in content["lost"]]
        yield (stream, int(partition)), Reservation(int(content["reserved"]), lost)


def reservation_statement(key: Key, own: Reservation) -> Statement:
    """The change that keeps a reservation, or forgets one that says nothing."""
    if not own.reserved and not own.lost:
        return DELETE_SQL, [(UNWRITTEN_TABLE, name_of(key))]
    content = orjson.dumps({"reserved": own.reserved, "lost": own.lost})
    return PUT_SQL, [(UNWRITTEN_TABLE, name_of(key), content)]


async def load_reservations(
    connection: aiosqlite.Connection, catalog: Catalog
) -> dict[Key, Reservation]:
    """The reservations of the partitions that there are.

    Raises:
        sqlite3.Error: the disk refused.
    """
    rows = await connection.execute_fetchall(READ_SQL, (UNWRITTEN_TABLE,))
    try:
        found = dict(decode_reservations((name, value) for name, value in rows))
    except (ValueError, TypeError, KeyError):
        # An audit names what can't be read; what was reserved is beyond finding out.
        return {}
    return {key: own for key, own in found.items() if key in catalog.partitions}


async def skip_lost(
    connection: aiosqlite.Connection, catalog: Catalog, reservations: Mapping[Key, Reservation]
) -> None:
    """Let partitions whose last process died go on behind what it had reserved; note what is lost.

    Raises:
        sqlite3.Error: the disk refused; nothing was changed.
    """
    rows: list[BatchRow] = []
    statements: list[Statement] = []
    for key in sorted(reservations):
        own, state = reservations[key], catalog.partition(*key)
        if not own.reserved:
            continue
        if own.reserved > state.log_end_offset:
            own.lose(state.log_end_offset, own.reserved)
            rows.append(jump_to(own.reserved, state, batch_id(catalog.commit_no + 1, len(rows))))
        own.reserved = 0
        statements.append(reservation_statement(key, own))
    if not statements:
        return
    await connection.execute_fetchall("BEGIN IMMEDIATE")
    for row in rows:
        await connection.execute_fetchall(insert_sql(1), row)
    for sql, parameters in statements:
        await connection.executemany(sql, parameters)
    await connection.execute_fetchall("COMMIT")
    catalog.commit_no += bool(rows)


def jump_to(offset: int, state: PartitionState, identity: int) -> BatchRow:
    """A batch of no records behind which a partition goes on at an offset."""
    body = BatchCompressor().compress(pack([]))
    state.log_end_offset = offset
    state.log_bytes += len(body)
    is_fence = state.fence_id is None or identity >= state.fence_id + FENCE_SPAN
    if is_fence:
        state.fence_id = identity
    last_ms = state.last_ms
    columns = (identity, state.number, offset, 0, last_ms, last_ms, 0, state.log_bytes)
    return BatchRow(*columns, is_fence, checksum_of(columns, body), body)
