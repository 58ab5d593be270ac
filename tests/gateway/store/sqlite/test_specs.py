import pytest

from gateway.errors import StreamInvalid
from gateway.store.protocol import StreamSpec
from gateway.store.sqlite.catalog import Catalog
from gateway.store.sqlite.specs import (
    PARTITIONS_TOTAL_MAX,
    apply_spec,
    check_spec,
    new_partitions,
)


@pytest.mark.parametrize(("durability", "is_synced"), [("fsync", True), ("os", False)])
def test_partitions_follow_the_durability_of_their_stream(durability, is_synced):
    catalog = Catalog()
    spec = StreamSpec("a", 2, durability=durability)
    apply_spec(spec, new_partitions(spec, catalog), catalog)
    states = [*catalog.partitions.values()]
    assert [own.is_synced for own in states] == [is_synced] * 2
    apply_spec(StreamSpec("a", 2, durability="memory"), [], catalog)
    assert all(own.is_volatile and not own.is_synced for own in states)


def test_partitions_of_all_streams_are_bounded():
    catalog = Catalog()
    with pytest.raises(StreamInvalid, match=f"at most {PARTITIONS_TOTAL_MAX}"):
        for number in range(3):
            spec = StreamSpec(f"s{number}", 200)
            apply_spec(spec, new_partitions(spec, catalog), catalog)


def test_every_durability_of_the_engine_can_be_had():
    for durability in ("fsync", "os", "memory"):
        check_spec(StreamSpec("a", durability=durability))
