from gateway.store.batch_format import BatchCompressor, pack
from gateway.store.limits import Allowance
from gateway.store.protocol import Gap
from gateway.store.sqlite.merging import Reading
from gateway.store.sqlite.planning import build_plan
from gateway.store.sqlite.rows import BatchRow, checksum_of
from gateway.store.sqlite.schema import batch_id
from tests.gateway.store.building import STREAM, numbered, payloads_of

KEY = (STREAM, 0)


def a_row(base_offset, count):
    body = BatchCompressor().compress(pack([numbered(base_offset, count)]))
    columns = (batch_id(base_offset + 1, 0), 1, base_offset, count, 0, 0, count, len(body))
    return BatchRow(*columns, 1, checksum_of(columns, body), body)


def planned(position, *rows, log_start_offset=0):
    small = [
        (*row[:4], row.payload_bytes, row.last_ms, len(row.body), log_start_offset, 0)
        for row in rows
        if row.base_offset + row.record_count > position
    ]
    return build_plan(small, {1: (KEY, position)}).batches


def read(position, plans, rows, records_max=100):
    reading = Reading({KEY: position}, Allowance(records_max, 1 << 20))
    by_id = {row.id: row for row in rows}
    is_whole = [reading.take(plan, by_id.get(plan.id)) for plan in plans]
    return reading.merged(9, has_more=False), is_whole


def damaged(row):
    return row._replace(body=row.body[:-1])


def test_what_lies_below_the_log_start_was_removed_and_a_jump_above_is_damage():
    rows = [a_row(6, 2), a_row(10, 2)]
    merged, _ = read(0, planned(0, *rows, log_start_offset=5), rows)
    assert merged.gaps == [
        Gap(STREAM, 0, 0, 5, "removed"),
        Gap(STREAM, 0, 5, 6, "damaged"),
        Gap(STREAM, 0, 8, 10, "damaged"),
    ]
    assert merged.positions == {KEY: 12}
    assert len(payloads_of(merged.batches)) == 4


def test_a_damaged_batch_is_stepped_over_and_reported():
    rows = [a_row(0, 3), damaged(a_row(3, 3)), a_row(6, 3)]
    merged, is_whole = read(1, planned(1, *rows), rows)
    assert [int(p) for p in payloads_of(merged.batches)] == [1, 2, 6, 7, 8]
    assert merged.gaps == [Gap(STREAM, 0, 3, 6, "damaged")]
    assert is_whole == [True, True, True]


def test_a_damaged_batch_is_lost_from_the_position_on():
    rows = [damaged(a_row(0, 6))]
    merged, _ = read(4, planned(4, *rows), rows)
    assert merged.gaps == [Gap(STREAM, 0, 4, 6, "damaged")]
    assert merged.positions == {KEY: 6}


def test_a_batch_that_went_between_plan_and_load_was_removed():
    rows = [a_row(0, 3), a_row(3, 3)]
    merged, _ = read(0, planned(0, *rows), rows[1:])
    assert merged.gaps == [Gap(STREAM, 0, 0, 3, "removed")]
    assert [int(p) for p in payloads_of(merged.batches)] == [3, 4, 5]


def test_a_read_ends_where_its_allowance_does():
    rows = [a_row(0, 3), a_row(3, 3)]
    merged, is_whole = read(0, planned(0, *rows), rows, records_max=3)
    assert is_whole == [True, False]
    assert merged.positions == {KEY: 3}
    merged, is_whole = read(0, planned(0, *rows), rows, records_max=4)
    assert merged.positions == {KEY: 4}
