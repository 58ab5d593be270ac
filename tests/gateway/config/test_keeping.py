from pathlib import Path

import pytest

from gateway.config.loader import load_config
from gateway.errors import DocumentInvalid
from gateway.store import DAY_MS


@pytest.fixture
def load(tmp_path):
    def load(rest):
        path = Path(tmp_path / "gateway.yaml")
        path.write_text(f"streams: [{{name: a, filters: b, {rest}}}]")
        return load_config(path).streams[0].spec

    return load


def test_a_stream_is_safe_and_kept_for_a_week_unless_it_says_otherwise(load):
    spec = load("partitions: 1")
    assert (spec.durability, spec.behind, spec.retention_age_ms) == ("fsync", "drop", 7 * DAY_MS)


def test_everything_reaches_the_stream(load):
    spec = load("durability: os, behind: block, retention: {age: 1h, size: 1MiB, count: 9}")
    assert (spec.durability, spec.behind) == ("os", "block")
    assert (spec.retention_age_ms, spec.retention_bytes, spec.retention_count) == (
        3_600_000,
        1 << 20,
        9,
    )


def test_a_stream_may_be_in_memory_for_a_while(load):
    assert load("durability: memory").durability == "memory"


def test_a_stream_that_compacts_is_kept_for_ever_unless_it_has_an_age(load):
    spec = load("compact: {by: topic}")
    assert (spec.compact_by, spec.tombstones_ms, spec.retention_age_ms) == ("topic", DAY_MS, None)
    spec = load("compact: {by: device, tombstones: 1h}, retention: {age: 30d}")
    assert (spec.compact_by, spec.tombstones_ms) == ("device", 3_600_000)
    assert spec.retention_age_ms == 30 * DAY_MS


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("compact: {by: colour}", "'colour'"),
        ("compact: {}", "'by'"),
        ("durability: memory, compact: {by: topic}", "can't be kept in memory"),
        ("compact: {by: topic}, retention: {size: 1MiB}", "only be limited by age"),
        ("compact: {by: topic}, retention: {count: 5}", "only be limited by age"),
    ],
)
def test_compaction_that_can_not_be_is_refused(load, text, complaint):
    with pytest.raises(DocumentInvalid, match=complaint):
        load(text)


@pytest.mark.parametrize("text", ["retention: forever", "retention: {age: forever}"])
def test_a_stream_can_be_kept_for_ever(load, text):
    spec = load(text)
    assert (spec.retention_age_ms, spec.retention_bytes, spec.retention_count) == (None,) * 3


def test_a_size_can_be_the_only_limit(load):
    spec = load("retention: {age: forever, size: 1GiB}")
    assert (spec.retention_age_ms, spec.retention_bytes) == (None, 1 << 30)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("durability: fsnyc", "did you mean 'fsync'"),
        ("behind: wait", "is not one of block, drop, alert"),
        ("retention: always", "is not 'forever' or a mapping"),
        ("retention: [1]", "'retention' must be a mapping"),
        ("retention: {age: 1ms}", "at least 1000 ms"),
        ("retention: {size: 1KiB}", "at least 65536 bytes"),
        ("retention: {count: 0}", "at least 1"),
        ("retention: {days: 5}", "'days'"),
    ],
)
def test_what_is_wrong_is_said(load, text, complaint):
    with pytest.raises(DocumentInvalid, match=complaint):
        load(text)
