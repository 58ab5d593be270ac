from pathlib import Path

import pytest

from gateway.config.loader import load_config
from gateway.errors import DocumentInvalid
from gateway.store import DAY_MS, WearOptions

MIB = 1 << 20


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = Path(tmp_path / "gateway.yaml")
        path.write_text(text)
        return load_config(path)

    return load


def test_by_default_no_commit_waits_and_room_is_kept(load):
    for text in ("version: 1", "store: {write_budget: none, card_endurance: none}"):
        config = load(text)
        assert config.store_options().linger_ms == 0
        assert config.store_options().reserve_bytes == 16 * MIB
        assert config.wear == WearOptions()


def test_the_window_follows_who_waits_when_asked_to(load):
    assert load("store: {linger: auto}").store_options().linger_ms is None


def test_everything_reaches_its_part(load):
    config = load(
        "store: {linger: 20ms, tail_size: 1MiB, reserve: 0, write_budget: 2GiB/day, "
        "card_endurance: 10TiB}"
    )
    options = config.store_options()
    assert (options.linger_ms, options.tail_bytes_max, options.reserve_bytes) == (20, MIB, 0)
    assert config.wear == WearOptions(2 << 30, 10 << 40)
    assert load("store: {write_budget: 1MiB/day}").wear == WearOptions(MIB, None)


def test_what_memory_streams_hold_is_bounded_by_time_and_size(load):
    text = "store: {memory_window: 10m, memory_size: 1MiB, wal_size: 256MiB}"
    options = load(text).store_options()
    assert (options.memory_ms, options.memory_bytes_max) == (600_000, MIB)
    assert options.wal_bytes_max == 256 * MIB


def test_a_pass_of_scrubbing_takes_a_week_unless_told_otherwise(load):
    assert load("version: 1").scrub_ms == 7 * DAY_MS
    assert load("store: {scrub: 1d}").scrub_ms == DAY_MS
    assert load("store: {scrub: none}").scrub_ms is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("store: {scrub: 1s}", "'scrub'"),
        ("store: {memory_window: 10ms}", "'memory_window'"),
        ("store: {memory_size: 1KiB}", "'memory_size'"),
        ("store: {wal_size: 1MiB}", "'wal_size'"),
        ("store: {linger: soon}", "'soon' is not a duration"),
        ("store: {linger: [auto]}", "is not a duration"),
        ("store: {linger: 1h}", "at most 10000 ms"),
        ("store: {reserve: 5KiB}", "'reserve' must be 0 or at least 1MiB"),
        ("store: {write_budget: 2GiB}", "is not a budget of 1MiB/day or more"),
        ("store: {write_budget: 2/day}", "is not a budget"),
        ("store: {write_budget: [2GiB/day]}", "is not a budget"),
        ("store: {card_endurance: 1KiB}", "'card_endurance' is 1KiB; it must be at least"),
        ("store: {lingre: 5ms}", "did you mean 'linger'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(load, text, complaint):
    with pytest.raises(DocumentInvalid) as caught:
        load(text)
    assert complaint in str(caught.value)
    assert "gateway.yaml:1:" in str(caught.value)
