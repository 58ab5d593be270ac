"""Batches in pieces: what is taken in before others may go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.events import RecordBatch


def cut(batches: Sequence[RecordBatch], records_max: int) -> Iterator[list[RecordBatch]]:
    """Cut batches into pieces of at most `records_max` records, in order."""
    piece: list[RecordBatch] = []
    room = records_max
    for batch in batches:
        offset = batch.base_offset
        while offset < batch.next_offset:
            stop = min(batch.next_offset, offset + room)
            piece.append(batch if stop - offset == batch.count else batch.slice(offset, stop))
            room -= stop - offset
            offset = stop
            if room == 0:
                yield piece
                piece, room = [], records_max
    if piece:
        yield piece
