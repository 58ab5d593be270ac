import asyncio

import pytest

from gateway.errors import MemberFenced, StoreError, StoreTooNew
from gateway.store.groups.calls import (
    FRAME_BYTES_MAX,
    LENGTH,
    SocketPath,
    error_name,
    frame,
    offsets_of,
    read_frame,
    rows_of,
)


def reader_of(*content):
    reader = asyncio.StreamReader()
    for part in content:
        reader.feed_data(part)
    reader.feed_eof()
    return reader


async def test_frames_come_back_one_by_one():
    reader = reader_of(frame([1, "beat", ["m"]]), frame([2, None, b"\xff"]))
    assert [await read_frame(reader), await read_frame(reader)] == [
        [1, "beat", ["m"]],
        [2, None, b"\xff"],
    ]
    with pytest.raises(asyncio.IncompleteReadError):
        await read_frame(reader)


async def test_a_frame_that_is_too_large_is_not_read():
    with pytest.raises(ValueError, match="a frame of"):
        await read_frame(reader_of(LENGTH.pack(FRAME_BYTES_MAX + 1)))


def test_offsets_travel_as_rows():
    offsets = {("a", 0): 1, ("b", 2): 3}
    assert offsets_of(rows_of(offsets)) == offsets


def test_an_error_travels_under_the_nearest_name_that_has_one():
    assert error_name(MemberFenced("x")) == "MemberFenced"
    assert error_name(StoreTooNew("x")) == error_name(StoreError("x")) == "StoreError"


def test_a_short_path_is_taken_as_it_is(tmp_path):
    with SocketPath(tmp_path.parent.parent) as path:
        assert path == str(tmp_path.parent.parent / "penstock.sock")
