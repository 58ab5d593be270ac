from __future__ import annotations

import struct

from gateway.devices.decoders.frame_layout import SCALARS, SIZES, Bits, Condition, Part


def test_sizes_are_those_of_struct():
    for name, letter in SCALARS.items():
        assert struct.calcsize("<" + letter) == SIZES[name]


def test_the_mask_of_bits_is_as_wide_as_they_are():
    assert Bits("x", 3, 3).mask == 1
    assert Bits("x", 4, 7).mask == 0xF


def test_only_single_unconditional_values_are_read_with_their_neighbours():
    assert Part("x", "u16").is_fixed
    assert Part("", "skip", count=3).is_fixed
    assert not Part("x", "u24").is_fixed
    assert not Part("x", "u16", count=2).is_fixed
    assert not Part("x", "u16", when=Condition("y")).is_fixed
    assert not Part("", "skip", count="n").is_fixed
