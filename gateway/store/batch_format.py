"""How the runs of one stored batch become bytes and come back; docs/format.md describes the layout.

Which row a batch lies in, and the checksum over it, belong to the engine that stores it.
"""

from __future__ import annotations

import sys
from array import array
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, chain, count, pairwise, repeat
from typing import Any, NamedTuple

import orjson

from gateway.events import Origin, Run

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DENSE_VERSION = 1
SPARSE_VERSION = 2
"""Bodies that compaction has thinned out: the header says which offsets are left."""

COMPRESSION_LEVEL = 1
LENGTH_BYTES = 4
COLUMNS_START = 1 + LENGTH_BYTES
LENGTH_TYPECODE = "I"
ORIGINS_MAX_BY_TYPECODE = (("B", 1 << 8), ("H", 1 << 16), ("I", 1 << 32))


class BatchDamaged(Exception):
    """The bytes of a stored batch aren't what was written; says what is wrong with them."""


class BatchCompressor:
    """Compresses bodies one after another, keeping the compressor's tables between them."""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(COMPRESSION_LEVEL)

    def compress(self, packed: bytes) -> bytes:
        """Turn what `pack` returned into a body, one zstd frame; lets go of the GIL meanwhile."""
        body: bytes = self._compressor.compress(packed, self._compressor.FLUSH_FRAME)
        return body


Stretch = tuple[int, int]
"""Consecutive records: where the first lies, counted from the batch's base offset; how many."""


def pack(runs: Sequence[Run], kept: Sequence[Stretch] | None = None) -> bytes:
    """Lay the runs of one partition out as columns, in order; not compressed yet.

    `kept` are the places of the records where they aren't all there any more.
    """
    numbers: defaultdict[Origin, int] = defaultdict(count().__next__)
    indexes = list(map(numbers.__getitem__, chain.from_iterable([run.origins for run in runs])))
    has_properties = any(run.properties is not None for run in runs)
    content: dict[str, Any] = {
        "origins": [tuple(origin) for origin in numbers],
        "runs": [(run.client, run.arrival_ms, len(run.payloads)) for run in runs],
        "properties": has_properties,
    }
    if kept is not None:
        content["kept"] = kept
    header = orjson.dumps(content)
    payloads = list(chain.from_iterable([run.payloads for run in runs]))
    columns = [
        bytes((DENSE_VERSION if kept is None else SPARSE_VERSION,)),
        len(header).to_bytes(LENGTH_BYTES, "little"),
        header,
        little_endian(array(index_typecode(len(numbers)), indexes)),
        *[run.flags for run in runs],
        little_endian(array(LENGTH_TYPECODE, list(map(len, payloads)))),
    ]
    if has_properties:
        properties = list(
            chain.from_iterable(
                repeat(b"", len(run.payloads)) if run.properties is None else run.properties
                for run in runs
            )
        )
        columns.append(little_endian(array(LENGTH_TYPECODE, list(map(len, properties)))))
        columns.extend(properties)
    return b"".join(chain(columns, payloads))


class Decoded(NamedTuple):
    """The runs of a body; of a sparse one also where its records lie."""

    runs: list[Run]
    kept: list[Stretch] | None


class Columns(NamedTuple):
    """An unpacked batch, before it is cut into runs."""

    origins: list[Origin]
    flags: bytes
    payloads: list[bytes]
    properties: list[bytes] | None


def decode(body: bytes, stream: str, partition: int) -> Decoded:
    """Rebuild the runs of a body; records of one topic and device share one `Origin`.

    Raises:
        BatchDamaged: the body is not what `pack` and `compress` made, or of a later version.
    """
    try:
        return unpack(zstd.decompress(body), stream, partition)
    except (zstd.ZstdError, LookupError, TypeError, ValueError) as error:
        raise BatchDamaged(f"the batch can't be decoded: {error}") from error


def unpack(packed: bytes, stream: str, partition: int) -> Decoded:
    """Cut what `pack` returned into runs.

    Raises:
        BatchDamaged: a later version, or lengths that don't add up.
        LookupError, TypeError, ValueError: the header is not one of ours.
    """
    version = packed[0]
    if version not in (DENSE_VERSION, SPARSE_VERSION):
        raise BatchDamaged(f"the batch has format version {version}, not 1 or 2")
    header_end = COLUMNS_START + int.from_bytes(packed[1:COLUMNS_START], "little")
    header = orjson.loads(packed[COLUMNS_START:header_end])
    record_count = sum(run_count for _, _, run_count in header["runs"])
    columns = read_columns(packed, header_end, header, record_count)
    runs = cut_runs(columns, header["runs"], stream, partition)
    if version == DENSE_VERSION:
        return Decoded(runs, None)
    kept = [(first, count) for first, count in header["kept"]]
    if sum(count for _, count in kept) != record_count:
        raise BatchDamaged("the batch doesn't say where its records lie")
    return Decoded(runs, kept)


def read_columns(packed: bytes, start: int, header: dict[str, Any], record_count: int) -> Columns:
    """Read the columns that begin at `start`.

    Raises:
        BatchDamaged: they don't end where the batch ends.
    """
    origins = [Origin(topic, device) for topic, device in header["origins"]]
    typecode = index_typecode(len(origins))
    flags_start = start + record_count * array(typecode).itemsize
    flags_end = flags_start + record_count
    indexes = little_endian_array(typecode, packed[start:flags_start])
    lengths_end = flags_end + record_count * LENGTH_BYTES
    lengths = little_endian_array(LENGTH_TYPECODE, packed[flags_end:lengths_end])
    properties = None
    if header["properties"]:
        properties_start = lengths_end + record_count * LENGTH_BYTES
        own_lengths = little_endian_array(LENGTH_TYPECODE, packed[lengths_end:properties_start])
        properties, lengths_end = cut(packed, properties_start, own_lengths)
    payloads, end = cut(packed, lengths_end, lengths)
    if end != len(packed):
        raise BatchDamaged(f"the batch has {len(packed)} bytes, its columns have {end}")
    return Columns(
        list(map(origins.__getitem__, indexes)), packed[flags_start:flags_end], payloads, properties
    )


def cut(packed: bytes, start: int, lengths: Sequence[int]) -> tuple[list[bytes], int]:
    """Cut consecutive values of these lengths out of `packed`; return them and where they end."""
    ends = list(accumulate(lengths, initial=start))
    return [packed[a:b] for a, b in pairwise(ends)], ends[-1]


def cut_runs(
    columns: Columns, runs: Sequence[tuple[str, int, int]], stream: str, partition: int
) -> list[Run]:
    """Give each run its part of the columns."""
    cut_out = []
    start = 0
    for client, arrival_ms, run_count in runs:
        stop = start + run_count
        own = None if columns.properties is None else columns.properties[start:stop]
        if own is not None and not any(own):
            own = None
        cut_out.append(
            Run(
                stream,
                partition,
                client,
                arrival_ms,
                columns.origins[start:stop],
                columns.payloads[start:stop],
                columns.flags[start:stop],
                own,
            )
        )
        start = stop
    return cut_out


def index_typecode(origin_count: int) -> str:
    """The narrowest unsigned integer that can number `origin_count` origins."""
    return next(
        code for code, origins_max in ORIGINS_MAX_BY_TYPECODE if origin_count <= origins_max
    )


def little_endian(column: array[int]) -> bytes:
    """The bytes of a column as they lie on disk; `column` is spent."""
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def little_endian_array(typecode: str, encoded: bytes) -> array[int]:
    """Undo `little_endian`."""
    column = array(typecode)
    column.frombytes(encoded)
    if sys.byteorder == "big":
        column.byteswap()
    return column
