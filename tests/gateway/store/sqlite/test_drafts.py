import asyncio

from gateway.store import StreamSpec
from gateway.store.batch_format import BatchCompressor
from gateway.store.sqlite.catalog import Catalog, PartitionState
from gateway.store.sqlite.drafts import CommitDraft, Request, apply_nothing
from gateway.store.sqlite.schema import FENCE_COMMITS, batch_id
from tests.gateway.store.building import STREAM, a_run, numbered


def a_catalog(is_synced=True):
    catalog = Catalog(commit_no=8, specs={STREAM: StreamSpec(STREAM, 2)})
    for partition in (0, 1):
        state = PartitionState(partition + 5, STREAM, partition, is_synced, 0, 10, 100, 1000)
        catalog.partitions[STREAM, partition] = state
    return catalog


def a_request(*runs, statements=()):
    future = asyncio.Future(loop=asyncio.new_event_loop())
    future.get_loop().close()
    return Request(runs, statements, apply_nothing, 0, future)


def bodies_of(draft):
    compressor = BatchCompressor()
    return [compressor.compress(packed) for packed in draft.pack()]


def test_requests_are_laid_one_behind_the_other():
    catalog = a_catalog()
    first = a_request(numbered(0, 3), numbered(0, 2, partition=1))
    second = a_request(numbered(3, 4))
    draft = CommitDraft(catalog, [first, second])
    assert (first.base_offsets, second.base_offsets) == ([10, 10], [13])
    rows = draft.rows(bodies_of(draft))
    assert [row[:4] for row in rows] == [(batch_id(9, 0), 5, 10, 7), (batch_id(9, 1), 6, 10, 2)]


def test_the_catalog_moves_only_when_the_commit_is_settled():
    catalog = a_catalog()
    draft = CommitDraft(catalog, [a_request(numbered(0, 3, arrival_ms=150))])
    rows = draft.rows(bodies_of(draft))
    assert (catalog.commit_no, catalog.partition(STREAM, 0).log_end_offset) == (8, 10)
    (batch,) = draft.settle(catalog, rows)
    state = catalog.partition(STREAM, 0)
    assert (batch.base_offset, batch.commit_no, batch.count) == (10, 9, 3)
    assert (catalog.commit_no, state.log_end_offset, state.last_ms) == (9, 13, 150)
    assert state.log_bytes == 1000 + len(rows[0].body)


def test_a_row_says_what_its_body_holds():
    runs = [a_run(b"12345", arrival_ms=120), a_run(b"1", b"", arrival_ms=90)]
    draft = CommitDraft(a_catalog(), [a_request(*runs)])
    (row,) = draft.rows(bodies_of(draft))
    assert (row.first_ms, row.last_ms, row.payload_bytes) == (120, 120, 6)
    assert [run.arrival_ms for run in runs] == [120, 120]


def test_a_batch_is_a_fence_unless_one_is_near():
    catalog = a_catalog()
    commit_nos = [9, 10, 9 + FENCE_COMMITS - 1, 9 + FENCE_COMMITS, 9 + FENCE_COMMITS + 1, 500, 501]
    fences = []
    for commit_no in commit_nos:
        catalog.commit_no = commit_no - 1
        draft = CommitDraft(catalog, [a_request(numbered(0, 1))])
        rows = draft.rows(bodies_of(draft))
        draft.settle(catalog, rows)
        fences.append(bool(rows[0].is_fence))
    assert fences == [True, False, False, True, False, True, False]


def test_an_empty_run_has_a_place_and_no_row():
    request = a_request(a_run(), numbered(0, 1, partition=1))
    draft = CommitDraft(a_catalog(), [request])
    assert request.base_offsets == [10, 10]
    assert len(draft.pack()) == 1


def test_a_commit_is_synced_unless_everything_in_it_can_wait():
    assert CommitDraft(a_catalog(), [a_request(numbered(0, 1))]).is_synced
    relaxed = a_catalog(is_synced=False)
    assert not CommitDraft(relaxed, [a_request(numbered(0, 1))]).is_synced
    with_state = a_request(statements=[("DELETE FROM meta", [()])])
    assert CommitDraft(relaxed, [a_request(numbered(0, 1)), with_state]).is_synced
    relaxed.partition(STREAM, 1).is_synced = True
    mixed = a_request(numbered(0, 1), numbered(0, 1, partition=1))
    assert CommitDraft(relaxed, [mixed]).is_synced
