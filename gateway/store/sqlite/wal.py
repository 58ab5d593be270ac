"""The frames of a WAL: which are whole, which are not, and what SQLite would overlook.

SQLite believes a WAL up to its first wrong frame. That is right after a power cut, and wrong for a
byte that was changed in the middle: what follows was acknowledged.
Spec: https://www.sqlite.org/walformat.html
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from gateway.store.sqlite.pages import PAGE_BYTES

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_BYTES
MAGIC = 0x377F0682
CHECKED_HEADER_BYTES = 8
INDEX_COUNT = struct.Struct("=I")
INDEX_FRAME_COUNT_AT = 16
INDEX_SALTS = slice(32, 40)
INDEX_MOVED_COUNT_AT = 96
INDEX_BYTES = 100
MASK = 0xFFFFFFFF

Sums = tuple[int, int]


class Frame(NamedTuple):
    """One version of one page; `is_whole` when it matches its checksum."""

    page_number: int
    is_commit: bool
    is_whole: bool
    page: bytes


class WalContent(NamedTuple):
    """The frames that transactions have completed, in order, and what is wrong with them.

    `lost_count` is how many frames are known to have been there and are not, or not whole.
    """

    frames: list[Frame]
    lost_count: int
    is_overlooked: bool
    page_count: int = 0
    """How many pages the main file has."""
    may_be_torn: bool = False
    """Whether a power cut may have left frames under way, with what was there before in them."""

    @property
    def overlay(self) -> dict[int, bytes]:
        """The newest version of each page, a whole one where there is one.

        Where frames may be torn, the main file's is better than one that isn't whole.
        """
        whole_max = max((own.page_number for own in self.frames if own.is_whole), default=0)
        # A broken number may be any; a file grows by no more pages than there are frames.
        number_max = max(whole_max, self.page_count) + len(self.frames)
        newest = {
            own.page_number: own.page
            for own in self.frames
            if 1 <= own.page_number <= number_max and not self.may_be_torn
        }
        newest.update((own.page_number, own.page) for own in self.frames if own.is_whole)
        return newest


def read_wal(path: Path, index: bytes) -> WalContent:
    """Read the WAL beside the database `path`, whole frames and others.

    `index` is what `read_index` returned before SQLite opened the database.

    `is_overlooked` says that SQLite, left alone, would lose a commit that is there or was there.
    """
    content = read_beside(path, "-wal")
    frame_count = (len(content) - HEADER_BYTES) // FRAME_BYTES
    if frame_count <= 0:
        noted = noted_frames(index, content[16:24] if len(content) >= HEADER_BYTES else b"")
        return WalContent([], noted, is_overlooked=noted > 0)
    headers = [frame_header(content, index) for index in range(frame_count)]
    sums = checksum(content[:24], (0, 0), content)
    is_header_whole = sums == struct.unpack_from(">2I", content, 24)
    salts = content[16:24] if is_header_whole else prevailing_salts(headers)
    # Frames of an earlier round lie behind the last one; one alone is a damaged header.
    last = max((place for place, own in enumerate(headers) if own[2] == salts), default=-1)
    frames: list[Frame] = []
    previous = sums
    for place, (page_number, size, own_salts, own_sums) in enumerate(headers[: last + 1]):
        is_whole = own_salts == salts and frame_sums(content, place, previous) == own_sums
        if place == 0 and not is_header_whole:
            is_whole = True
        start = HEADER_BYTES + place * FRAME_BYTES + FRAME_HEADER_BYTES
        page = content[start : start + PAGE_BYTES]
        is_commit = size > 0 and not is_of_earlier_round(own_salts, salts)
        frames.append(Frame(page_number, is_commit, is_whole, page))
        previous = own_sums
    found = judge(frames, noted_frames(index, salts), is_header_whole=is_header_whole)
    page_count = -(-path.stat().st_size // PAGE_BYTES)
    return found._replace(page_count=page_count, may_be_torn=not index)


def is_of_earlier_round(own_salts: bytes, salts: bytes) -> bool:
    """Whether a frame was there before the WAL was begun anew, and has not been written again.

    Both salts change then; a broken byte changes one.
    """
    return own_salts[:4] != salts[:4] and own_salts[4:] != salts[4:]


def judge(frames: list[Frame], noted_count: int, *, is_header_whole: bool) -> WalContent:
    """See which frames count and whether SQLite would see them all.

    A last transaction that isn't whole was never acknowledged, unless the index has noted it: so
    ends a power cut. A transaction that is followed by another one was synced.
    """
    broken = next((index for index, own in enumerate(frames) if not own.is_whole), len(frames))
    ends = [index + 1 for index, own in enumerate(frames) if own.is_commit]
    broken_end = next((end for end in ends if end > broken), len(frames))
    last_start = ends[-2] if len(ends) > 1 else 0
    is_last_whole = all(own.is_whole for own in frames[last_start : ends[-1] if ends else 0])
    believable = [
        end
        for end in ends
        if end <= max(broken, noted_count)
        or (end > broken_end and frames[end - 1].is_whole and (is_last_whole or end != ends[-1]))
    ]
    end = max([*believable, min(noted_count, len(frames))], default=0)
    seen_end = max((own for own in ends if own <= broken), default=0) if is_header_whole else 0
    kept = frames[:end]
    lost = max(noted_count - len(frames), 0) + sum(not frame.is_whole for frame in kept)
    return WalContent(kept, lost, is_overlooked=max(end, noted_count) > seen_end)


def frame_header(content: bytes, index: int) -> tuple[int, int, bytes, Sums]:
    """Page number, size of the database after a commit, salts and checksums of a frame."""
    start = HEADER_BYTES + index * FRAME_BYTES
    page_number, size = struct.unpack_from(">2I", content, start)
    sums = struct.unpack_from(">2I", content, start + 16)
    return page_number, size, content[start + 8 : start + 16], (sums[0], sums[1])


def frame_sums(content: bytes, index: int, previous: Sums) -> Sums:
    """What the checksums of a frame should be, after those of the frame before it."""
    start = HEADER_BYTES + index * FRAME_BYTES
    sums = checksum(content[start : start + CHECKED_HEADER_BYTES], previous, content)
    page_start = start + FRAME_HEADER_BYTES
    return checksum(content[page_start : page_start + PAGE_BYTES], sums, content)


def checksum(checked: bytes, sums: Sums, content: bytes) -> Sums:
    """Go on with SQLite's checksum over more bytes, in the byte order that the WAL names."""
    order = ">" if content[3:4] == bytes(((MAGIC | 1) & 0xFF,)) else "<"
    words = struct.unpack(f"{order}{len(checked) // 4}I", checked)
    first, second = sums
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & MASK
        second = (second + odd + first) & MASK
    return first, second


def prevailing_salts(headers: list[tuple[int, int, bytes, Sums]]) -> bytes:
    """The salts that most frames share."""
    return Counter(salts for _, _, salts, _ in headers).most_common(1)[0][0]


def may_overlook(path: Path, index: bytes) -> bool:
    """Whether SQLite, which has opened the database meanwhile, may have lost a commit.

    Cheap, and never wrong when it says no; `read_wal` knows.
    """
    content = path.with_name(path.name + "-wal")
    if not content.exists():
        return noted_frames(index, b"") > 0
    with content.open("rb") as file:
        header = file.read(HEADER_BYTES)
        salts = header[16:24] if len(header) == HEADER_BYTES else b""
        noted = noted_frames(index, salts)
        if salts and checksum(header[:24], (0, 0), header) != struct.unpack(">2I", header[24:]):
            return True
        last_commit = 0
        frame_no = 0
        while len(own := file.read(FRAME_HEADER_BYTES)) == FRAME_HEADER_BYTES:
            frame_no += 1
            if own[8:16] == salts and own[4:8] != bytes(4):
                last_commit = frame_no
            file.seek(PAGE_BYTES, os.SEEK_CUR)
    return max(noted, last_commit) > noted_frames(read_index(path), salts)


def read_index(path: Path) -> bytes:
    """The head of the WAL's index as a kill has left it; SQLite writes it anew when it opens."""
    return read_beside(path, "-shm", INDEX_BYTES)


def noted_frames(index: bytes, salts: bytes) -> int:
    """How many frames the WAL's index says were committed; 0 if unknown.

    Without `salts` the WAL is gone, and only frames that aren't in the main file yet count.
    """
    if len(index) < INDEX_BYTES or salts not in (b"", index[INDEX_SALTS]):
        return 0
    (count,) = INDEX_COUNT.unpack_from(index, INDEX_FRAME_COUNT_AT)
    (moved_count,) = INDEX_COUNT.unpack_from(index, INDEX_MOVED_COUNT_AT)
    return int(count) if salts or moved_count < count else 0


def read_beside(path: Path, suffix: str, bytes_max: int = -1) -> bytes:
    """The start of one of the files that SQLite keeps beside a database; empty without one."""
    try:
        with path.with_name(path.name + suffix).open("rb") as file:
            return file.read(bytes_max)
    except FileNotFoundError:
        return b""
