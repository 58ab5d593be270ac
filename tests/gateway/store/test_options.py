from pathlib import Path

from gateway.store import StoreOptions


def test_nothing_is_unbounded_and_a_commit_fits_the_queue():
    options = StoreOptions(Path("data"))
    assert 0 < options.commit_bytes_max < options.queued_bytes_max
    assert options.tail_bytes_max > 0
    assert options.linger_ms == 0
