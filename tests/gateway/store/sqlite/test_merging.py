from gateway.store.batch_format import BatchCompressor, pack
from gateway.store.limits import Allowance
from gateway.store.protocol import Gap
from gateway.store.sqlite.merging import ROWS_LOADED_MAX, Reading, choose, plan_partition
from gateway.store.sqlite.rows import BatchRow, checksum_of
from gateway.store.sqlite.schema import batch_id
from tests.gateway.store.building import STREAM, numbered, payloads_of

KEY = (STREAM, 0)


def a_row(base_offset, count, commit_no=1):
    body = BatchCompressor().compress(pack([numbered(base_offset, count)]))
    columns = (batch_id(1, base_offset), commit_no, count, 0, 0, count, len(body))
    return BatchRow(*columns, checksum_of(columns, body), body)


def planned(position, *rows):
    small = [(row.id, row.commit_no, row.record_count, row.payload_bytes) for row in rows]
    return plan_partition(KEY, position, small)


def read(position, plans, rows, records_max=100):
    reading = Reading({KEY: position}, Allowance(records_max, 1 << 20))
    by_id = {row.id: row for row in rows}
    is_whole = [reading.take(plan, by_id.get(plan.id)) for plan in plans]
    return reading.merged(9, has_more=False), is_whole


def damaged(row):
    return row._replace(body=row.body[:-1])


def test_a_batch_below_the_position_is_not_planned():
    rows = [a_row(0, 3), a_row(3, 3), a_row(6, 3)]
    plans = planned(4, *rows)
    assert [(plan.next_offset, plan.fresh_count) for plan in plans] == [(6, 2), (9, 3)]
    assert planned(9, *rows) == []


def test_a_count_that_was_damaged_does_not_reach_into_the_next_batch():
    rows = [a_row(0, 3)._replace(record_count=500), a_row(3, 3)]
    assert [plan.next_offset for plan in planned(0, *rows)] == [3, 6]


def test_batches_are_chosen_until_they_fill_the_allowance():
    plans = planned(0, *(a_row(10 * n, 10) for n in range(20)))
    assert len(choose(plans, Allowance(25, 1 << 20))) == 3
    assert len(choose(plans, Allowance(100, 15))) == 2
    assert len(choose(plans, Allowance(0, 0))) == 1
    assert choose([], Allowance(10, 10)) == []
    assert len(choose(plans * 100, Allowance(1 << 40, 1 << 40))) == ROWS_LOADED_MAX


def test_a_jump_at_the_head_was_removed_and_one_within_is_damage():
    rows = [a_row(5, 3), a_row(10, 2)]
    merged, _ = read(0, planned(0, *rows), rows)
    assert merged.gaps == [Gap(STREAM, 0, 0, 5, "removed"), Gap(STREAM, 0, 8, 10, "damaged")]
    assert merged.positions == {KEY: 12}
    assert len(payloads_of(merged.batches)) == 5


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
