from __future__ import annotations

import pytest

from gateway.store.batch_format import BatchCompressor, BatchDamaged, pack
from gateway.store.sqlite import decoded
from gateway.store.sqlite.decoded import RECORD_BYTES, DecodedRows
from gateway.store.sqlite.rows import BatchRow, checksum_of
from gateway.store.sqlite.schema import batch_id
from tests.gateway.store.building import numbered

STREAM = ("telemetry", 0)


def a_row(base_offset, count):
    body = BatchCompressor().compress(pack([numbered(base_offset, count)]))
    columns = (batch_id(base_offset + 1, 0), 1, base_offset, count, 0, 0, count, len(body))
    return BatchRow(*columns, 1, checksum_of(columns, body), body)


@pytest.fixture
def decodings(monkeypatch):
    """The ids of the rows that were really decoded, in order."""
    done = []

    def decode_row(row, *key):
        done.append(row.id)
        return real(row, *key)

    real = decoded.decode_row
    monkeypatch.setattr(decoded, "decode_row", decode_row)
    return done


def test_a_row_is_decoded_once_for_all_who_read_it(decodings):
    rows = DecodedRows()
    row = a_row(0, 3)
    first = rows.decode(row, *STREAM)
    assert first == rows.decode(row, *STREAM) == decoded.decode_row(row, *STREAM)
    assert decodings == [row.id, row.id]


def test_the_same_row_of_another_partition_is_another_one(decodings):
    rows = DecodedRows()
    row = a_row(0, 3)
    (first,), (second,) = rows.decode(row, "a", 0), rows.decode(row, "a", 1)
    assert (first.partition, second.partition) == (0, 1)


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(decodings):
    a, b, c = (a_row(base, 3) for base in (0, 3, 6))
    size = max(row.payload_bytes for row in (a, b, c)) + RECORD_BYTES * 3
    rows = DecodedRows(2 * size)
    for row in (a, b, a, c, a, b):
        rows.decode(row, *STREAM)
    assert decodings == [row.id for row in (a, b, c, b)]
    assert len(rows) == 2


def test_a_row_that_is_larger_than_all_that_may_be_kept_is_not_kept():
    rows = DecodedRows(1)
    assert rows.decode(a_row(0, 3), *STREAM)
    assert len(rows) == 0


def test_damage_is_found_also_when_the_row_was_read_before():
    rows = DecodedRows()
    row = a_row(0, 3)
    rows.decode(row, *STREAM)
    body = bytearray(row.body)
    body[-1] ^= 1
    with pytest.raises(BatchDamaged):
        rows.decode(row._replace(body=bytes(body)), *STREAM)
