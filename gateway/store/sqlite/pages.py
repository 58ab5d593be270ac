"""Reading an SQLite file page by page without SQLite, as far as it can be read.

SQLite refuses a tree with one broken page; here every page and every cell stands for itself. What
the tables mean is `gateway.store.sqlite.salvage`'s; the WAL is `gateway.store.sqlite.wal`'s.
Spec: https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PAGE_BYTES = 4096
"""What SQLite chooses by itself; no log has another."""

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
TABLE_LEAF, TABLE_INTERIOR, INDEX_LEAF, INDEX_INTERIOR = 0x0D, 0x05, 0x0A, 0x02
INTERIOR = (TABLE_INTERIOR, INDEX_INTERIOR)
OVERFLOW_BYTES = PAGE_BYTES - 4
LOCAL_MIN = (PAGE_BYTES - 12) * 32 // 255 - 23
LOCAL_MAX = {
    TABLE_LEAF: PAGE_BYTES - 35,
    INDEX_LEAF: (PAGE_BYTES - 12) * 64 // 255 - 23,
    INDEX_INTERIOR: (PAGE_BYTES - 12) * 64 // 255 - 23,
}
PAYLOAD_BYTES_MAX = 1 << 30
VARINT_BYTES_MAX = 9
MORE_BIT = 0x80
NUMBER_BYTES = (0, 1, 2, 3, 4, 6, 8, 8)
CONSTANTS = {0: None, 8: 0, 9: 1}
REAL, TEXT_MIN = 7, 12
DEPTH_MAX = 20
CELL_BYTES_MIN = 4

Value = int | float | str | bytes | None


class PageDamaged(Exception):
    """A page, a cell or a record isn't what SQLite would have written."""


class Cell(NamedTuple):
    """A record as it stands in a tree; `rowid` is 0 in an index or a table without rowids."""

    rowid: int
    values: tuple[Value, ...]


class Pages:
    """The pages of a database: those of its main file, overlaid with those of its WAL."""

    def __init__(self, path: Path, overlay: Mapping[int, bytes]) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self._overlay = overlay
        file_bytes = os.fstat(self._descriptor).st_size
        self.count = max(-(-file_bytes // PAGE_BYTES), max(overlay, default=0))
        self.damaged: set[int] = set()
        """Pages that should be there and can't be read, or hold what can't be read."""
        self.used: set[int] = set()
        """Pages that belong to a tree or to a readable record's overflow."""

    def close(self) -> None:
        os.close(self._descriptor)

    def page(self, number: int) -> bytes:
        """The bytes of a page, numbered from 1.

        Raises:
            PageDamaged: there is no such page.
        """
        page = self._overlay.get(number)
        if page is None and 1 <= number <= self.count:
            page = os.pread(self._descriptor, PAGE_BYTES, (number - 1) * PAGE_BYTES)
        if page is None or len(page) < PAGE_BYTES:
            raise PageDamaged(f"page {number} is missing")
        return page

    def replaced(self) -> Iterator[tuple[int, bytes]]:
        """What the main file has for the pages that the WAL has newer."""
        for number in self._overlay:
            page = os.pread(self._descriptor, PAGE_BYTES, (number - 1) * PAGE_BYTES)
            if len(page) == PAGE_BYTES:
                yield number, page

    def walk(self, root: int) -> Iterator[Cell]:
        """Every readable record of the tree below `root`, in order as far as the tree is whole."""
        yield from self._walk(root, 0)

    def _walk(self, number: int, depth: int) -> Iterator[Cell]:
        if number in self.used or depth > DEPTH_MAX:
            self.damaged.add(number)
            return
        try:
            page = self.page(number)
            kind, pointers = outline(page, number)
        except PageDamaged:
            self.damaged.add(number)
            return
        self.used.add(number)
        start = HEADER_BYTES if number == 1 else 0
        for at in pointers:
            if kind in INTERIOR:
                yield from self._walk(int.from_bytes(page[at : at + 4], "big"), depth + 1)
            if kind != TABLE_INTERIOR:
                yield from self._cell(page, kind, at, number)
        if kind in INTERIOR:
            right = int.from_bytes(page[start + 8 : start + 12], "big")
            yield from self._walk(right, depth + 1)
        # Behind its records, so that who counts damage while walking finds it where they end.
        if not is_filled(page, number, kind, pointers):
            self.damaged.add(number)

    def _cell(self, page: bytes, kind: int, at: int, number: int) -> Iterator[Cell]:
        try:
            yield self.read_cell(page, kind, at)
        except PageDamaged:
            self.damaged.add(number)

    def cells_of(self, page: bytes, number: int) -> Iterator[Cell]:
        """The readable records of one page of whatever table, wherever it was found."""
        try:
            kind, pointers = outline(page, number)
        except PageDamaged:
            return
        for at in pointers if kind != TABLE_INTERIOR else ():
            try:
                yield self.read_cell(page, kind, at)
            except PageDamaged:
                continue

    def read_cell(self, page: bytes, kind: int, at: int) -> Cell:
        """Read the record at a place in a page, with its overflow.

        Raises:
            PageDamaged: it can't be read.
        """
        at += 4 if kind == INDEX_INTERIOR else 0
        payload_bytes, at = read_varint(page, at)
        rowid = 0
        if kind == TABLE_LEAF:
            rowid, at = read_varint(page, at)
            rowid -= (rowid >> 63) << 64
        if payload_bytes > PAYLOAD_BYTES_MAX:
            raise PageDamaged("a record is too large")
        local_bytes = local_size(payload_bytes, LOCAL_MAX[kind])
        payload = page[at : at + local_bytes]
        if payload_bytes > local_bytes:
            first = int.from_bytes(page[at + local_bytes : at + local_bytes + 4], "big")
            payload += self._overflow(first, payload_bytes - local_bytes)
        if len(payload) != payload_bytes:
            raise PageDamaged("a record ends too early")
        return Cell(rowid, read_record(payload))

    def _overflow(self, number: int, size_bytes: int) -> bytes:
        pieces = []
        chain: list[int] = []
        left_bytes = size_bytes
        while left_bytes > 0:
            if len(chain) > self.count:
                raise PageDamaged("an overflow chain has no end")
            page = self.page(number)
            chain.append(number)
            pieces.append(page[4 : 4 + min(left_bytes, OVERFLOW_BYTES)])
            left_bytes -= OVERFLOW_BYTES
            number = int.from_bytes(page[:4], "big")
        self.used.update(chain)
        return b"".join(pieces)

    def free(self) -> set[int]:
        """The pages that the file's list of free pages names, as far as it can be read."""
        found: set[int] = set()
        try:
            trunk = int.from_bytes(self.page(1)[32:36], "big")
            while trunk and trunk not in found:
                page = self.page(trunk)
                found.add(trunk)
                leaf_count = min(int.from_bytes(page[4:8], "big"), PAGE_BYTES // 4 - 2)
                found.update(struct.unpack_from(f">{leaf_count}I", page, 8))
                trunk = int.from_bytes(page[:4], "big")
        except PageDamaged:
            return found
        return found


def outline(page: bytes, number: int) -> tuple[int, tuple[int, ...]]:
    """The kind of a tree's page and where its cells begin.

    Raises:
        PageDamaged: it is no page of a tree.
    """
    start = HEADER_BYTES if number == 1 else 0
    kind = page[start]
    if kind not in (TABLE_LEAF, TABLE_INTERIOR, INDEX_LEAF, INDEX_INTERIOR):
        raise PageDamaged(f"page {number} is of no kind")
    cell_count = int.from_bytes(page[start + 3 : start + 5], "big")
    pointers_start = start + (12 if kind in INTERIOR else 8)
    if pointers_start + 2 * cell_count > PAGE_BYTES:
        raise PageDamaged(f"page {number} has too many cells")
    return kind, struct.unpack_from(f">{cell_count}H", page, pointers_start)


def is_filled(page: bytes, number: int, kind: int, pointers: Sequence[int]) -> bool:
    """Whether cells, free blocks and fragments account for every byte behind the gap of a page.

    A cell that isn't counted any more, or is counted twice, shows in it.
    """
    start = HEADER_BYTES if number == 1 else 0
    content_start = int.from_bytes(page[start + 5 : start + 7], "big") or PAGE_BYTES * 16
    pointers_end = start + (12 if kind in INTERIOR else 8) + 2 * len(pointers)
    try:
        used_bytes = page[start + 7] + sum(cell_size(page, kind, at) for at in pointers)
    except PageDamaged:
        return False
    free = int.from_bytes(page[start + 1 : start + 3], "big")
    earlier = 0
    while free > earlier:
        used_bytes += int.from_bytes(page[free + 2 : free + 4], "big")
        earlier, free = free, int.from_bytes(page[free : free + 2], "big")
    is_in_place = pointers_end <= content_start and all(at >= content_start for at in pointers)
    return is_in_place and not free and content_start + used_bytes == PAGE_BYTES


def cell_size(page: bytes, kind: int, at: int) -> int:
    """How many bytes of a page a cell takes.

    Raises:
        PageDamaged: it doesn't begin with what a cell begins with.
    """
    begin = at
    at += 4 if kind in INTERIOR else 0
    payload_bytes, at = read_varint(page, at)
    if kind == TABLE_INTERIOR:
        return at - begin
    if kind == TABLE_LEAF:
        _, at = read_varint(page, at)
    local_bytes = local_size(payload_bytes, LOCAL_MAX[kind])
    overflow_bytes = 4 if payload_bytes > local_bytes else 0
    return max(at - begin + local_bytes + overflow_bytes, CELL_BYTES_MIN)


def local_size(payload_bytes: int, local_max: int) -> int:
    """How much of a record lies in its own page."""
    if payload_bytes <= local_max:
        return payload_bytes
    filled = LOCAL_MIN + (payload_bytes - LOCAL_MIN) % OVERFLOW_BYTES
    return filled if filled <= local_max else LOCAL_MIN


def read_varint(encoded: bytes, at: int) -> tuple[int, int]:
    """A number in 1 to 9 bytes, and where it ends.

    Raises:
        PageDamaged: the bytes end before it does.
    """
    value = 0
    for index, byte in enumerate(encoded[at : at + VARINT_BYTES_MAX]):
        if index == VARINT_BYTES_MAX - 1:
            return value << 8 | byte, at + VARINT_BYTES_MAX
        value = value << 7 | byte & 0x7F
        if not byte & MORE_BIT:
            return value, at + index + 1
    raise PageDamaged("a number ends too early")


def read_record(payload: bytes) -> tuple[Value, ...]:
    """The columns of a record.

    Raises:
        PageDamaged: they don't end where the record ends.
    """
    header_bytes, at = read_varint(payload, 0)
    if header_bytes > len(payload):
        raise PageDamaged("a record's header is longer than the record")
    values = []
    place = header_bytes
    while at < header_bytes:
        serial_type, at = read_varint(payload, at)
        value, place = read_value(payload, place, serial_type)
        values.append(value)
    if place != len(payload) or at != header_bytes:
        raise PageDamaged("a record's columns don't fill it")
    return tuple(values)


def read_value(payload: bytes, at: int, serial_type: int) -> tuple[Value, int]:
    """One column of a record, and where it ends.

    Raises:
        PageDamaged: there is no such type, or it is no text.
    """
    if serial_type >= TEXT_MIN:
        end = at + (serial_type - TEXT_MIN) // 2
        content = payload[at:end]
        if serial_type % 2 == 0:
            return content, end
        try:
            return content.decode(), end
        except UnicodeDecodeError as error:
            raise PageDamaged("a text is no UTF-8") from error
    if serial_type in CONSTANTS:
        return CONSTANTS[serial_type], at
    if serial_type > REAL:
        raise PageDamaged("a column is of no type")
    size = NUMBER_BYTES[serial_type]
    content = payload[at : at + size]
    if len(content) < size:
        raise PageDamaged("a column ends too early")
    if serial_type == REAL:
        return struct.unpack(">d", content)[0], at + size
    return int.from_bytes(content, "big", signed=True), at + size
