from __future__ import annotations

from gateway.rules.instants import NEVER
from gateway.rules.watermarks import TIME_MS_MAX

DAYS_366_MS = 366 * 86_400_000


def test_never_is_later_than_any_time_and_fits_where_times_are_stored():
    assert TIME_MS_MAX + 1_000 * DAYS_366_MS < NEVER
    assert NEVER + NEVER <= (1 << 63)
