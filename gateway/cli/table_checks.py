"""Whether the values of the log's tables are still what was written: each is decoded.

They carry no checksum (decisions/0014), so this finds what a broken page has made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
import orjson

from gateway.errors import PenstockError
from gateway.store import LEDGER_TABLE, StreamReader, decode_note

JSON_TABLES = ("groups", "leases", "compaction", "clock", "store", "scrub", "damage")
PACKED_TABLES = ("rules",)
FAULTS_SHOWN_MAX = 1_000
COUNT_TABLES = ("rule-commits", "handler-commits", "device-service-commits", "redriven")
UNREADABLE = (ValueError, TypeError, KeyError, LookupError, PenstockError)

Check = Callable[[str, bytes], object]


def known_checks() -> Mapping[str, Check]:
    """Of each table that this program knows, what decodes a key and its value."""
    from gateway.server import VALUE_CHECKS

    checks: dict[str, Check] = dict(VALUE_CHECKS)
    checks |= dict.fromkeys(JSON_TABLES, lambda _, encoded: orjson.loads(encoded))
    checks |= dict.fromkeys(PACKED_TABLES, lambda _, encoded: msgspec.msgpack.decode(encoded))
    checks |= dict.fromkeys(COUNT_TABLES, lambda _, encoded: int(encoded))
    checks[LEDGER_TABLE] = lambda _, encoded: decode_note(encoded)
    return checks


async def find_in_tables(reader: StreamReader) -> list[str]:
    """What can't be read any more of the tables, by table and key; values of others are left."""
    faults: list[str] = []
    for table, check in sorted(known_checks().items()):
        faults += find_in(table, check, await reader.entries(table))
    return faults[:FAULTS_SHOWN_MAX]


def find_in(table: str, check: Check, rows: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    """The entries of one table that can't be read."""
    for key, encoded in rows:
        try:
            check(key, encoded)
        except UNREADABLE as error:
            yield f"the value of {key!r} in table {table!r} can't be read: {error}"
