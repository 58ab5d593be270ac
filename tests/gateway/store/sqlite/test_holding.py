from gateway.events import RecordBatch
from gateway.store.cursors import Merged
from gateway.store.limits import Allowance
from gateway.store.protocol import Bounds, Extent, Unread
from gateway.store.sqlite.holding import extended, first_offset_at, with_held, with_unread
from tests.gateway.store.building import BASE_MS, STREAM, numbered, payloads_of

KEY = (STREAM, 0)
EMPTY = Merged([], [], {KEY: 0}, 9, has_more=False)


def held(*places):
    """Batches of ten records at these base offsets, one a commit from 3 on."""
    return [
        RecordBatch(STREAM, 0, base, 3 + number, [numbered(base, 10, arrival_ms=BASE_MS + base)])
        for number, base in enumerate(places)
    ]


def test_a_reading_goes_on_over_what_is_held():
    merged = extended(EMPTY, {KEY: held(0, 10)}, Allowance(100, 1_000))
    assert len(payloads_of(merged.batches)) == 20
    assert (merged.positions[KEY], merged.complete_to, merged.has_more) == (20, 9, False)


def test_what_the_file_has_given_already_is_not_given_again():
    merged = extended(EMPTY._replace(positions={KEY: 14}), {KEY: held(0, 10)}, Allowance(9, 1_000))
    assert payloads_of(merged.batches) == [b"%d" % number for number in range(14, 20)]


def test_a_reading_that_is_cut_short_says_how_far_it_is_complete():
    merged = extended(EMPTY, {KEY: held(0, 10)}, Allowance(15, 1_000))
    assert (merged.positions[KEY], merged.complete_to, merged.has_more) == (15, 3, True)


def test_what_retention_took_before_it_was_written_is_a_gap():
    merged = extended(EMPTY, {KEY: held(30)}, Allowance(100, 1_000))
    assert [(own.start_offset, own.stop_offset, own.cause) for own in merged.gaps] == [
        (0, 30, "removed")
    ]


def test_sizes_and_times_count_what_is_held():
    extent = with_held(Extent(0, 0, 5, 70, BASE_MS - 9, BASE_MS - 2), held(5), Bounds(1, 15))
    assert extent == Extent(0, 1, 15, 70, BASE_MS - 9, BASE_MS + 5)
    assert with_held(extent, [], Bounds(0, 0)) == extent
    assert with_unread(Unread(0, 0, None), held(5, 15), 7) == Unread(18, 0, BASE_MS + 5)
    assert with_unread(Unread(3, 9, 1), [], 7) == Unread(3, 9, 1)
    assert first_offset_at(held(5, 15), BASE_MS + 6) == 15
    assert first_offset_at(held(5, 15), BASE_MS + 16) is None
