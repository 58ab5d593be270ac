"""Aggregates that are nearly right in little memory, for rules that say `sketch`.

Only windows that start anew use them: the others have their samples at hand anyway.
"""

from __future__ import annotations

import math
from hashlib import blake2b

from gateway.rules.folds import distinct_name
from gateway.rules.values import UNKNOWN, Value

ERROR = 0.01
"""How far a percentile may lie from the sample that it stands for, as a share of it."""

GAMMA = (1 + ERROR) / (1 - ERROR)
LOG_GAMMA = math.log(GAMMA)
LEAST, GREATEST = 1e-6, 1e12
"""Numbers nearer to zero count as zero, larger ones as the largest: so buckets are bounded."""

EXACT_MAX = 1_000
REGISTER_BITS = 12
REGISTERS = 1 << REGISTER_BITS
HASH_BITS = 64
ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)


class PercentileSketch:
    """Numbers counted in buckets, each a little wider than the one before (as DDSketch does it)."""

    __slots__ = ("buckets", "count", "rank")

    def __init__(self, rank: float) -> None:
        self.rank = rank
        self.count = 0
        self.buckets: dict[int, int] = {}

    def push(self, _time_ms: int, value: Value) -> None:
        bucket = _bucket_of(value)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1

    def result(self, _now_ms: int) -> Value:
        left = math.floor((self.count - 1) * self.rank / 100)
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left < 0:
                return _middle_of(bucket)
        return UNKNOWN

    def pack(self) -> list[Value]:
        return [self.count, sorted(self.buckets.items())]

    def unpack(self, packed: list[Value]) -> None:
        self.count, buckets = packed
        self.buckets = dict(buckets)


class DistinctSketch:
    """Different values: exactly up to a thousand, from there on by HyperLogLog, 2 % off or so."""

    __slots__ = ("count", "hashes", "registers")

    def __init__(self, _parameter: float) -> None:
        self.count = 0
        self.hashes: set[int] | None = set()
        self.registers = bytearray()

    def push(self, _time_ms: int, value: Value) -> None:
        digest = blake2b(distinct_name(value).encode(errors="surrogatepass"), digest_size=8)
        number = int.from_bytes(digest.digest(), "big")
        self.count += 1
        if self.hashes is None:
            self._note(number)
            return
        self.hashes.add(number)
        if len(self.hashes) > EXACT_MAX:
            self.registers = bytearray(REGISTERS)
            for known in self.hashes:
                self._note(known)
            self.hashes = None

    def result(self, _now_ms: int) -> Value:
        if self.hashes is not None:
            return len(self.hashes)
        powers = math.fsum(2.0**-register for register in self.registers)
        estimate = ALPHA * REGISTERS * REGISTERS / powers
        empty = self.registers.count(0)
        if estimate <= 2.5 * REGISTERS and empty:
            estimate = REGISTERS * math.log(REGISTERS / empty)
        return max(EXACT_MAX + 1, round(estimate))

    def pack(self) -> list[Value]:
        hashes = None if self.hashes is None else sorted(self.hashes)
        return [self.count, hashes, bytes(self.registers)]

    def unpack(self, packed: list[Value]) -> None:
        self.count, hashes, registers = packed
        self.hashes = None if hashes is None else set(hashes)
        self.registers = bytearray(registers)

    def _note(self, number: int) -> None:
        """The longest run of zeros that begins what is left of each hash."""
        register = number >> (HASH_BITS - REGISTER_BITS)
        rest = number & ((1 << (HASH_BITS - REGISTER_BITS)) - 1)
        zeros = HASH_BITS - REGISTER_BITS - rest.bit_length() + 1
        if zeros > self.registers[register]:
            self.registers[register] = zeros


def _bucket_of(value: float) -> int:
    """The number of a bucket: 0 for zero, and in the order of the numbers."""
    size = min(abs(value), GREATEST)
    if size < LEAST:
        return 0
    place = math.ceil(math.log(size / LEAST) / LOG_GAMMA) + 1
    return place if value > 0 else -place


def _middle_of(bucket: int) -> float:
    if bucket == 0:
        return 0.0
    size = LEAST * GAMMA ** (abs(bucket) - 1) * 2 / (GAMMA + 1)
    return size if bucket > 0 else -size
