from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.events import RecordBatch
from gateway.store.limits import Allowance
from tests.gateway.store.building import STREAM, a_run, payloads_of

SIZES = st.lists(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=1), max_size=4
)


def batches_of(sizes):
    batches = []
    base_offset = 0
    for batch_sizes in sizes:
        runs = [a_run(*(b"x" * size for size in run_sizes)) for run_sizes in batch_sizes]
        batches.append(RecordBatch(STREAM, 0, base_offset, len(batches) + 1, runs))
        base_offset = batches[-1].next_offset
    return batches


def obvious(payloads, records_max, bytes_max):
    """Take records one by one until the next would pass a limit; the first always fits."""
    taken = []
    for payload in payloads:
        is_over = len(taken) == max(records_max, 1) or sum(map(len, [*taken, payload])) > bytes_max
        if taken and is_over:
            break
        taken.append(payload)
    return taken


@settings(max_examples=100, deadline=None)
@given(SIZES, st.integers(0, 8), st.integers(0, 20))
def test_an_allowance_takes_what_fits_and_at_least_one(sizes, records_max, bytes_max):
    batches = batches_of(sizes)
    allowance = Allowance(records_max, bytes_max)
    taken = []
    for batch in batches:
        part = allowance.take(batch)
        if part is not None:
            taken.append(part)
        if part is not batch:
            break
    assert payloads_of(taken) == obvious(payloads_of(batches), records_max, bytes_max)


def test_nothing_fits_after_a_cut():
    first, second = batches_of([[[1, 1, 1]], [[1]]])
    allowance = Allowance(2, 100)
    assert allowance.take(first).count == 2
    assert allowance.take(second) is None
