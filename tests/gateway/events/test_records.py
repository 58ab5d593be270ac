from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.events import Flag, Origin, Record, RecordBatch, Run

PUMP = Origin("plant/pump-7/temp", "pump-7")


def run_of(count, start=0, *, arrival_ms=1_000, with_properties=False):
    """A run whose records can be told apart by their payloads, from `start` on."""
    numbers = range(start, start + count)
    return Run(
        "telemetry",
        2,
        "client",
        arrival_ms,
        [Origin(f"plant/d{number % 3}/t", f"d{number % 3}") for number in numbers],
        [str(number).encode() for number in numbers],
        bytes(number % 4 for number in numbers),
        [b"p%d" % number for number in numbers] if with_properties else None,
    )


def random_batch(seed):
    rng = random.Random(seed)
    runs = []
    count = 0
    for number in range(rng.randint(0, 4)):
        size = rng.randint(1, 5)
        runs.append(
            run_of(size, count, arrival_ms=1_000 + number, with_properties=rng.random() < 0.5)
        )
        count += size
    return RecordBatch("telemetry", 2, rng.randint(0, 50), rng.randint(1, 9), runs)


def test_a_record_tells_its_qos_and_whether_it_is_retained():
    record = Record("s", 0, 1, 2, "t", "d", "c", b"", Flag.QOS_1 | Flag.RETAIN | Flag.DUP)
    assert (record.qos, record.is_retained) == (1, True)
    assert record._replace(flags=int(Flag.QOS_2)).qos == 2
    assert not record._replace(flags=0).is_retained


def test_flags_are_those_of_the_wire():
    assert [int(flag) for flag in (Flag.RETAIN, Flag.QOS_1, Flag.QOS_2, Flag.DUP)] == [1, 2, 4, 8]


def test_a_run_is_as_long_as_its_payloads():
    assert len(run_of(3)) == 3


@pytest.mark.parametrize("with_properties", [False, True])
@pytest.mark.parametrize(("start", "stop"), [(0, 5), (0, 0), (2, 4), (4, 5), (3, 3)])
def test_a_slice_of_a_run_has_the_records_between(start, stop, with_properties):
    run = run_of(5, with_properties=with_properties)
    cut = run.slice(start, stop)
    whole = RecordBatch("telemetry", 2, 0, 1, [run])
    part = RecordBatch("telemetry", 2, start, 1, [cut])
    assert list(part.records()) == list(whole.records())[start:stop]
    assert (cut.stream, cut.partition, cut.client, cut.arrival_ms) == (
        "telemetry",
        2,
        "client",
        1_000,
    )
    assert (cut.properties is None) is not with_properties


def test_a_batch_knows_where_the_next_one_begins():
    batch = RecordBatch("telemetry", 2, 10, 1, [run_of(3), run_of(2, 3, arrival_ms=1_005)])
    assert (batch.count, batch.next_offset, batch.last_arrival_ms) == (5, 15, 1_005)


def test_records_have_dense_offsets_and_every_column():
    batch = RecordBatch("telemetry", 2, 10, 1, [run_of(1), run_of(1, 1, with_properties=True)])
    assert list(batch.records()) == [
        Record("telemetry", 2, 10, 1_000, "plant/d0/t", "d0", "client", b"0", 0, b""),
        Record("telemetry", 2, 11, 1_000, "plant/d1/t", "d1", "client", b"1", 1, b"p1"),
    ]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**6), st.integers(-5, 80), st.integers(-5, 80))
def test_a_slice_of_a_batch_has_the_records_of_those_offsets(seed, start_offset, stop_offset):
    batch = random_batch(seed)
    part = batch.slice(start_offset, stop_offset)
    assert list(part.records()) == [
        record for record in batch.records() if start_offset <= record.offset < stop_offset
    ]
    assert part.commit_no == batch.commit_no
    assert part.count == sum(len(run) for run in part.runs)
    assert all(len(run) for run in part.runs)


def test_a_slice_shares_the_runs_that_it_holds_whole():
    batch = RecordBatch("telemetry", 2, 0, 1, [run_of(2), run_of(2, 2)])
    assert batch.slice(1, 4).runs[1] is batch.runs[1]


def test_a_slice_after_the_end_is_empty():
    batch = RecordBatch("telemetry", 2, 5, 1, [run_of(2)])
    part = batch.slice(7, 9)
    assert (part.base_offset, part.count, part.next_offset) == (7, 0, 7)
