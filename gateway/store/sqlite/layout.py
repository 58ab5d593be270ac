"""A second copy of streams and partitions, with a checksum, kept in `meta` as the entry `layout`.

Without them nobody could tell whose the batches are, so one damaged page must not take both.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from gateway.store.protocol import StreamSpec
from gateway.store.sqlite.catalog import Catalog, PartitionState
from gateway.store.sqlite.drafts import Statement
from gateway.store.sqlite.schema import FORMAT_VERSION

LAYOUT_NAME = "layout"
CRC_BYTES = 4
COPY_SQL = """
    INSERT INTO meta VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value IS NOT excluded.value
"""


class Layout(NamedTuple):
    """Streams, and the number, stream and index of each partition."""

    streams: Sequence[StreamSpec]
    partitions: Sequence[tuple[int, str, int]]
    format_version: int = FORMAT_VERSION


def encode_layout(layout: Layout) -> bytes:
    """JSON, with its CRC-32 before it."""
    content = orjson.dumps(
        [
            [[own.name, own.partitions, own.durability] for own in layout.streams],
            layout.partitions,
            layout.format_version,
        ]
    )
    return zlib.crc32(content).to_bytes(CRC_BYTES, "little") + content


def layout_statement(
    catalog: Catalog, spec: StreamSpec | None = None, created: Sequence[PartitionState] = ()
) -> Statement:
    """The change that makes the copy that of this catalog, with a stream that is about to change.

    It belongs into the commit that changes the stream: a crash must not come between them.
    """
    states = [*catalog.partitions.values(), *created]
    partitions = sorted((own.number, own.stream, own.partition) for own in states)
    specs = catalog.specs if spec is None else {**catalog.specs, spec.name: spec}
    layout = Layout([specs[name] for name in sorted(specs)], partitions)
    return COPY_SQL, [(LAYOUT_NAME, encode_layout(layout))]


def decode_layout(encoded: object) -> Layout | None:
    """Undo `encode_layout`; None when it isn't what was written."""
    if not isinstance(encoded, bytes):
        return None
    crc, content = encoded[:CRC_BYTES], encoded[CRC_BYTES:]
    if zlib.crc32(content).to_bytes(CRC_BYTES, "little") != crc:
        return None
    streams, partitions, format_version = orjson.loads(content)
    return Layout(
        [
            StreamSpec(name, count, durability, retention_age_ms=None)
            for name, count, durability in streams
        ],
        [(number, stream, partition) for number, stream, partition in partitions],
        format_version,
    )
