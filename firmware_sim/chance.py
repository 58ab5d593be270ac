"""Chance without state: numbers that depend on a key and a counter alone, not on who asked before.

A generator that is shared or advanced by use would make a reading depend on scheduling. Here
every draw names itself (seed, device, purpose, number), and one seed is one run.
"""

from __future__ import annotations

import hashlib
import math

WORD = (1 << 64) - 1
# The constants of splitmix64: an odd increment near 2^64 / golden ratio, and two factors.
INCREMENT = 0x9E3779B97F4A7C15
FIRST_FACTOR = 0xBF58476D1CE4E5B9
SECOND_FACTOR = 0x94D049BB133111EB
UNIT_SCALE = 1.0 / (1 << 53)
SIXTEEN_BITS = 0xFFFF
# Four uniform 16-bit numbers add up to this mean and deviation.
BELL_MEAN = 2.0 * SIXTEEN_BITS
BELL_SCALE = math.sqrt(3.0) / (SIXTEEN_BITS + 1)
BELL_BOUND = BELL_MEAN * BELL_SCALE
GOLDEN_FRACTION = 0.6180339887498949


def derive_key(*names: str | int) -> int:
    """Make the 64-bit key that belongs to a path of names, such as (seed, device, signal)."""
    path = "\x1f".join(str(name) for name in names).encode()
    return int.from_bytes(hashlib.blake2b(path, digest_size=8).digest(), "big")


def draw_word(key: int, number: int) -> int:
    """Draw the `number`-th 64-bit word of a key; any order, always the same."""
    word = (key + (number + 1) * INCREMENT) & WORD
    word = ((word ^ (word >> 30)) * FIRST_FACTOR) & WORD
    word = ((word ^ (word >> 27)) * SECOND_FACTOR) & WORD
    return word ^ (word >> 31)


def draw_unit(key: int, number: int = 0) -> float:
    """Draw a number that is uniform in [0, 1)."""
    return (draw_word(key, number) >> 11) * UNIT_SCALE


def draw_bell(key: int, number: int = 0) -> float:
    """Draw a number with mean 0 and deviation 1, bell-shaped, never beyond `BELL_BOUND`.

    It is the sum of four uniform numbers: as good as a normal distribution for a sensor's noise,
    and bounded.
    """
    word = draw_word(key, number)
    total = (
        (word & SIXTEEN_BITS)
        + (word >> 16 & SIXTEEN_BITS)
        + (word >> 32 & SIXTEEN_BITS)
        + (word >> 48)
    )
    return (total - BELL_MEAN) * BELL_SCALE


def is_among(index: int, share: float, offset: float = 0.0) -> bool:
    """Say whether member `index` belongs to an evenly spread `share` of a fleet.

    Of any run of members nearly exactly that share belongs, however large the fleet grows. With
    `offset` 0 member 0 always does.
    """
    return (index * GOLDEN_FRACTION + offset) % 1.0 < share
