import random

import pytest

from gateway.errors import StreamInvalid
from gateway.events import Origin, RecordBatch, Run
from gateway.store import StreamSpec
from gateway.store.compaction import (
    LastOffsets,
    Replacing,
    check_compacting,
    check_limits,
    key_of,
    oldest_tombstone_ms,
)

NEVER_MS = -1


def a_batch(base_offset, *records):
    """Records of (topic, payload, arrival), each in a run of its own."""
    runs = [
        Run("s", 0, "c", at_ms, [Origin(topic, topic.split("/")[0])], [payload], b"\x00")
        for topic, payload, at_ms in records
    ]
    return RecordBatch("s", 0, base_offset, 1, runs)


def offsets_left(by, batches, before_ms=NEVER_MS):
    last = LastOffsets(by)
    for batch in batches:
        last.add(batch)
    left = Replacing(by, last.offsets, before_ms).thin(batches)
    return [record.offset for batch in left for record in batch.records()]


def test_a_key_is_a_device_or_a_topic():
    origin = Origin("pump/t", "pump")
    assert (key_of(origin, "device"), key_of(origin, "topic")) == ("pump", "pump/t")


@pytest.mark.parametrize("by", ["device", "topic"])
def test_what_is_left_is_what_a_replay_into_a_dict_ends_with(by):
    rng = random.Random(5)
    for _ in range(50):
        batches, model, offset = [], {}, 0
        for _ in range(rng.randrange(1, 6)):
            records = [
                (f"{rng.choice('ab')}/{rng.choice('xy')}", b"1", 0)
                for _ in range(rng.randrange(1, 8))
            ]
            batches.append(a_batch(offset, *records))
            for place, (topic, _, _) in enumerate(records):
                model[topic if by == "topic" else topic[0]] = offset + place
            offset += len(records) + rng.randrange(3)
        assert offsets_left(by, batches) == sorted(model.values())


def test_a_batch_of_which_everything_stays_is_not_copied():
    batch = a_batch(3, ("a/x", b"1", 0), ("b/x", b"1", 0))
    (left,) = Replacing("device", {}, NEVER_MS).thin([batch])
    assert left is batch


def test_tombstones_go_when_they_are_old():
    batch = a_batch(0, ("a/x", b"", 10), ("b/x", b"", 20), ("c/x", b"1", 5))
    assert offsets_left("topic", [batch], before_ms=20) == [1, 2]
    assert oldest_tombstone_ms([batch]) == 10
    assert oldest_tombstone_ms([a_batch(0, ("a/x", b"1", 10))]) is None


def test_only_streams_that_compact_are_compacted_and_only_age_limits_them():
    with pytest.raises(StreamInvalid, match="set 'compact'"):
        check_compacting(StreamSpec("s"))
    check_compacting(StreamSpec("s", compact_by="device"))
    check_limits(StreamSpec("s", compact_by="device"))
    check_limits(StreamSpec("s", retention_count=1))
    with pytest.raises(StreamInvalid, match="only its age"):
        check_limits(StreamSpec("s", compact_by="device", retention_count=1))
