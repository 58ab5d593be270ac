import zlib

import pytest

from gateway.store.batch_format import BatchCompressor, BatchDamaged, pack
from gateway.store.sqlite.rows import BatchRow, checksum_of, decode_row
from gateway.store.sqlite.schema import batch_id
from tests.gateway.store.building import STREAM, numbered, payloads_of


def a_row(**changes):
    body = BatchCompressor().compress(pack([numbered(0, 3)]))
    columns = (batch_id(7, 2), 1, 40, 3, 5, 6, 3, 100)
    return BatchRow(*columns, 1, checksum_of(columns, body), body)._replace(**changes)


def test_a_row_becomes_the_batch_it_was():
    (batch,) = decode_row(a_row(), STREAM, 0)
    assert (batch.base_offset, batch.commit_no, batch.count) == (40, 7, 3)
    assert payloads_of([batch]) == [b"0", b"1", b"2"]


def test_the_checksum_is_the_documented_one():
    columns = (1, 2, 3, 4, 5, 6, 7, 8)
    covered = b"".join(column.to_bytes(8, "little", signed=True) for column in columns) + b"body"
    assert checksum_of(columns, b"body") == zlib.crc32(covered) == 2633076416


@pytest.mark.parametrize("column", [*BatchRow._fields[:8], "checksum"])
def test_a_change_of_any_column_is_seen(column):
    row = a_row()
    with pytest.raises(BatchDamaged, match="checksum"):
        decode_row(row._replace(**{column: getattr(row, column) ^ 1}), STREAM, 0)


def test_a_change_of_any_byte_of_the_body_is_seen():
    row = a_row()
    for index in range(len(row.body)):
        body = bytearray(row.body)
        body[index] ^= 0x10
        with pytest.raises(BatchDamaged, match="checksum"):
            decode_row(row._replace(body=bytes(body)), STREAM, 0)


def test_a_row_that_counts_wrongly_is_damaged():
    row = a_row()
    columns = (*row[:3], 4, *row[4:8])
    with pytest.raises(BatchDamaged, match="has 3 records, not 4"):
        decode_row(BatchRow(*columns, 1, checksum_of(columns, row.body), row.body), STREAM, 0)


@pytest.mark.parametrize(
    ("kept", "cause"),
    [([(2, 1), (1, 1)], "out of place"), ([(0, 0), (1, 2)], "out of place"), ([(9, 2)], "beyond")],
)
def test_places_that_can_not_be_are_damage(kept, cause):
    body = BatchCompressor().compress(pack([numbered(0, 2)], kept))
    columns = (*a_row()[:3], 10, *a_row()[4:8])
    row = BatchRow(*columns, 1, checksum_of(columns, body), body)
    with pytest.raises(BatchDamaged, match=cause):
        decode_row(row, STREAM, 0)
