"""Which partition a device's records lie in: murmur2 of its id, as Kafka's Java client computes it.

It decides where a device's history already lies, so it must never change.
"""

from __future__ import annotations

SEED = 0x9747B28C
MULTIPLIER = 0x5BD1E995
WORD_BYTES = 4
MASK_32 = 0xFFFFFFFF
MASK_31 = 0x7FFFFFFF


def murmur2(key: bytes) -> int:
    """Hash `key` to an unsigned 32-bit integer.

    Spec: Apache Kafka, org.apache.kafka.common.utils.Utils.murmur2
    """
    mixed = SEED ^ len(key)
    words_end = len(key) & ~(WORD_BYTES - 1)
    for start in range(0, words_end, WORD_BYTES):
        word = int.from_bytes(key[start : start + WORD_BYTES], "little") * MULTIPLIER & MASK_32
        word = (word ^ word >> 24) * MULTIPLIER & MASK_32
        mixed = mixed * MULTIPLIER & MASK_32 ^ word
    rest = key[words_end:]
    if rest:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * MULTIPLIER & MASK_32
    mixed = (mixed ^ mixed >> 13) * MULTIPLIER & MASK_32
    return mixed ^ mixed >> 15


def partition_of(device: str, partitions: int) -> int:
    """The partition of `device` in a stream of `partitions`; the same on every engine, for ever."""
    return (murmur2(device.encode()) & MASK_31) % partitions
