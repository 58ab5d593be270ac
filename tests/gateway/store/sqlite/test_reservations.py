import pytest

from gateway.store.sqlite.reservations import (
    STRETCHES_MAX,
    Reservation,
    decode_reservations,
    name_of,
    reservation_statement,
)


def test_a_reservation_is_read_as_it_was_written():
    own = Reservation(700, [(3, 10), (20, 30)])
    _, ((_, name, encoded),) = reservation_statement(("a/b", 3), own)
    assert list(decode_reservations(iter([(name, encoded)]))) == [(("a/b", 3), own)]


def test_a_reservation_that_says_nothing_is_forgotten():
    sql, rows = reservation_statement(("a", 0), Reservation())
    assert sql.startswith("DELETE")
    assert rows == [("unwritten", name_of(("a", 0)))]


def test_stretches_are_bounded_and_their_sum_stays():
    own = Reservation()
    for number in range(STRETCHES_MAX + 50):
        own.lose(10 * number, 10 * number + 4)
    assert len(own.lost) == STRETCHES_MAX
    assert sum(stop - start for start, stop in own.lost) == 4 * (STRETCHES_MAX + 50)
    assert own.lost[-1] == (10 * (STRETCHES_MAX + 49), 10 * (STRETCHES_MAX + 49) + 4)


@pytest.mark.parametrize(
    "encoded", [b"", b"[]", b'{"reserved": 3}', b'{"reserved": [], "lost": 3}']
)
def test_what_is_no_reservation_is_refused(encoded):
    with pytest.raises((ValueError, TypeError, KeyError)):
        list(decode_reservations(iter([("a/0", encoded)])))
