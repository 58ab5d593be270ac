"""Notes of how far each stream went, by which an audit sees that an end is missing.

A note is an entry of the table `ledger` under the stream's name: its CRC-32, then JSON.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import orjson

LEDGER_TABLE = "ledger"
CRC_BYTES = 4


class LedgerNote(NamedTuple):
    """The next offset of each partition at a time."""

    next_offsets: Sequence[int]
    time_ms: int


def encode_note(note: LedgerNote) -> bytes:
    """JSON, with its CRC-32 before it."""
    content = orjson.dumps(note._asdict())
    return zlib.crc32(content).to_bytes(CRC_BYTES, "little") + content


def decode_note(encoded: bytes) -> LedgerNote:
    """Undo `encode_note`.

    Raises:
        ValueError: it isn't what was written.
    """
    crc, content = encoded[:CRC_BYTES], encoded[CRC_BYTES:]
    if zlib.crc32(content).to_bytes(CRC_BYTES, "little") != crc:
        raise ValueError("the note doesn't match its checksum")
    return LedgerNote(**orjson.loads(content))
