from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store.partitioner import murmur2, partition_of


# The vectors of Kafka's own UtilsTest.testMurmur2, which are signed there.
@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_kafka(key, signed):
    assert murmur2(key) == signed % 2**32


def signed(number):
    return (number + 2**31) % 2**32 - 2**31


def java_murmur2(data):
    """The hash with Java's int arithmetic, step by step."""
    m = 0x5BD1E995
    h = signed(0x9747B28C ^ len(data))
    for i in range(len(data) // 4):
        k = signed(sum((data[4 * i + j] & 0xFF) << (8 * j) for j in range(4)))
        k = signed(k * m)
        k = signed(k ^ (k % 2**32 >> 24))
        k = signed(k * m)
        h = signed(h * m)
        h = signed(h ^ k)
    tail = data[len(data) & ~3 :]
    if len(tail) == 3:
        h = signed(h ^ tail[2] << 16)
    if len(tail) >= 2:
        h = signed(h ^ tail[1] << 8)
    if tail:
        h = signed(signed(h ^ tail[0]) * m)
    h = signed(h ^ (h % 2**32 >> 13))
    h = signed(h * m)
    return signed(h ^ (h % 2**32 >> 15))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_murmur2_agrees_with_java_arithmetic(key):
    assert murmur2(key) == java_murmur2(key) % 2**32


def test_a_device_keeps_its_partition_for_ever():
    assert [partition_of(f"pump-{number}", 4) for number in range(8)] == [
        (java_murmur2(f"pump-{number}".encode()) & 0x7FFFFFFF) % 4 for number in range(8)
    ]
    assert partition_of("foobar", 4) == 2


def test_partitions_share_devices_evenly():
    counts = Counter(partition_of(f"device-{number}", 8) for number in range(4000))
    assert sorted(counts) == list(range(8))
    assert max(counts.values()) < 1.3 * min(counts.values())
