import os

import pytest

from gateway.store.memory import MemoryStore
from gateway.store.protocol import DAY_MS, Put
from gateway.store.wear import (
    WEAR_KEY,
    WEAR_TABLE,
    WearTotals,
    decode_wear,
    device_written_bytes,
    encode_wear,
    forecast_wear,
    own_written_bytes,
    read_wear,
)


def test_the_ratio_and_the_daily_rate_need_something_to_count():
    assert WearTotals().write_ratio is None
    assert WearTotals().bytes_per_day is None
    totals = WearTotals(running_ms=DAY_MS // 2, accepted_bytes=100, written_bytes=50)
    assert totals.write_ratio == 0.5
    assert totals.bytes_per_day == 100


def test_runs_add_up_from_the_first_one_on():
    both = WearTotals(10, 1, 2, 3, 4, 5).plus(WearTotals(99, 10, 20, 30, 40, 50))
    assert both == WearTotals(10, 11, 22, 33, 44, 55)
    assert WearTotals().plus(both) == both


def test_a_card_lasts_until_its_endurance_is_written():
    totals = WearTotals(running_ms=10 * DAY_MS, written_bytes=200, device_bytes=100)
    forecast = forecast_wear(totals, 1000)
    assert forecast == (pytest.approx(40), pytest.approx(0.2))


def test_what_others_write_to_the_card_counts():
    totals = WearTotals(running_ms=10 * DAY_MS, written_bytes=200, device_bytes=500)
    assert forecast_wear(totals, 1000).days_left == pytest.approx(10)


def test_a_worn_card_has_no_days_left():
    totals = WearTotals(running_ms=DAY_MS, written_bytes=2000)
    assert forecast_wear(totals, 1000) == (0, 2)


def test_without_a_rate_nothing_is_forecast():
    assert forecast_wear(WearTotals(written_bytes=5), 1000) is None
    assert forecast_wear(WearTotals(running_ms=5), 1000) is None


async def test_totals_are_kept_in_the_log():
    store = MemoryStore()
    assert await read_wear(store) == WearTotals()
    totals = WearTotals(1, 2, 3, 4, 5, 6)
    await store.append([], [Put(WEAR_TABLE, WEAR_KEY, encode_wear(totals))])
    assert await read_wear(store) == totals


@pytest.mark.parametrize("encoded", [b"", b"[]", b"5", b'{"unknown": 1}', b"\xff"])
def test_totals_that_cannot_be_read_count_as_none(encoded):
    assert decode_wear(encoded) == WearTotals()


def test_the_process_counter_leaves_out_what_was_given_up(tmp_path):
    counters = tmp_path / "io"
    counters.write_text("wchar: 9\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n")
    assert own_written_bytes(counters) == 4096
    counters.write_text("nonsense")
    assert own_written_bytes(counters) is None
    assert own_written_bytes(tmp_path / "absent") is None


def test_the_device_counter_is_in_sectors(tmp_path):
    assert device_written_bytes(tmp_path, tmp_path / "absent") is None
    device = tmp_path.stat().st_dev
    stat = tmp_path / f"{os.major(device)}:{os.minor(device)}" / "stat"
    stat.parent.mkdir()
    stat.write_text("  1 2 3 4 5 6 7 8 9 10 11\n")
    assert device_written_bytes(tmp_path, tmp_path) == 7 * 512
    stat.write_text("1 2")
    assert device_written_bytes(tmp_path, tmp_path) is None
