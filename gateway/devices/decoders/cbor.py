"""CBOR payloads as JSON values, read by a reader of our own: limits first, and no tag runs code.

Spec: RFC 8949. Why: decisions/0012
"""

from __future__ import annotations

import struct
from typing import Any

from gateway.devices.decoders.limits import (
    Decode,
    DecodeLimits,
    Undecodable,
    exact,
    finite,
    too_deep,
    too_many,
)
from gateway.devices.decoders.settling import key_text

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
INDEFINITE = 31
BREAK = 0xFF
DIRECT_MOST = 23
WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}
FLOATS = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}
SIMPLE_VALUES = {20: False, 21: True, 22: None, 23: None}
POSITIVE_BIGNUM, NEGATIVE_BIGNUM = 2, 3
BIGNUM_BYTES_MAX = 64
MAJOR_SHIFT = 5
MINOR_MASK = 0x1F


def cbor_decoder(limits: DecodeLimits) -> Decode:
    """Decode CBOR: byte strings become hexadecimal text; of unknown tags the content counts."""

    def decode(raw: bytes) -> Any:
        limits.check_size(raw)
        reader = CborReader(raw, limits)
        value = reader.value(0)
        if reader.at != len(raw):
            raise Undecodable(f"not CBOR: {len(raw) - reader.at} bytes follow the value")
        return value

    return decode


class CborReader:
    """One payload on its way from byte to byte; `at` is the next one."""

    __slots__ = ("_left", "_limits", "_raw", "at")

    def __init__(self, raw: bytes, limits: DecodeLimits) -> None:
        self._raw = raw
        self._limits = limits
        self._left = limits.values_max
        self.at = 0

    def value(self, depth: int) -> Any:
        """Read one value.

        Raises:
            Undecodable: it ends too early, is no CBOR, or passes a limit.
        """
        initial = self._byte()
        major, minor = initial >> MAJOR_SHIFT, initial & MINOR_MASK
        if major == UNSIGNED:
            return self._argument(minor)
        if major in (TEXT, BYTES):
            return self._string(major, minor)
        if major in (MAP, ARRAY):
            if depth >= self._limits.depth_max:
                raise too_deep(self._limits)
            return self._map(minor, depth + 1) if major == MAP else self._array(minor, depth + 1)
        if major == NEGATIVE:
            return exact(-1 - self._argument(minor))
        return self._simple(minor) if major == SIMPLE else self._tagged(minor, depth)

    def _byte(self) -> int:
        at = self.at
        if at >= len(self._raw):
            raise self._cut_off()
        self.at = at + 1
        return self._raw[at]

    def _take(self, size_bytes: int) -> bytes:
        start = self.at
        if size_bytes > len(self._raw) - start:
            raise self._cut_off()
        self.at = start + size_bytes
        return self._raw[start : self.at]

    def _cut_off(self) -> Undecodable:
        return Undecodable(f"not CBOR: cut off after {len(self._raw)} bytes")

    def _argument(self, minor: int) -> int:
        if minor <= DIRECT_MOST:
            return minor
        width = WIDTHS.get(minor)
        if width is None:
            raise Undecodable(f"not CBOR: length code {minor} before byte {self.at}")
        return int.from_bytes(self._take(width))

    def _string(self, major: int, minor: int) -> str:
        if minor == INDEFINITE:
            content = b"".join(self._pieces(major))
        else:
            content = self._take(self._argument(minor))
        if major == BYTES:
            return content.hex()
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise Undecodable("not CBOR: a text is not UTF-8") from None

    def _pieces(self, major: int) -> list[bytes]:
        """The pieces of a string whose length was not known when it was begun."""
        found: list[bytes] = []
        while (initial := self._byte()) != BREAK:
            if initial >> MAJOR_SHIFT != major or initial & MINOR_MASK == INDEFINITE:
                raise Undecodable("not CBOR: a piece of a string is of another kind")
            self._count(1)
            found.append(self._take(self._argument(initial & MINOR_MASK)))
        return found

    def _count(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise too_many(self._limits)

    def _array(self, minor: int, depth: int) -> list[Any]:
        if minor != INDEFINITE:
            count = self._argument(minor)
            self._count(count)
            return [self.value(depth) for _ in range(count)]
        found: list[Any] = []
        while not self._is_break():
            self._count(1)
            found.append(self.value(depth))
        return found

    def _map(self, minor: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if minor != INDEFINITE:
            count = self._argument(minor)
            self._count(count)
            for _ in range(count):
                key = key_text(self.value(depth))
                found[key] = self.value(depth)
            return found
        while not self._is_break():
            self._count(1)
            key = key_text(self.value(depth))
            found[key] = self.value(depth)
        return found

    def _is_break(self) -> bool:
        if self._raw[self.at : self.at + 1] == b"\xff":
            self.at += 1
            return True
        return False

    def _simple(self, minor: int) -> Any:
        form = FLOATS.get(minor)
        if form is not None:
            return finite(form.unpack(self._take(form.size))[0])
        if minor in SIMPLE_VALUES:
            return SIMPLE_VALUES[minor]
        raise Undecodable(f"not CBOR: simple value {minor} before byte {self.at} has no meaning")

    def _tagged(self, minor: int, depth: int) -> Any:
        tag = self._argument(minor)
        if depth >= self._limits.depth_max:
            raise too_deep(self._limits)
        value = self.value(depth + 1)
        if tag not in (POSITIVE_BIGNUM, NEGATIVE_BIGNUM):
            return value
        if not isinstance(value, str) or len(value) > 2 * BIGNUM_BYTES_MAX:
            raise Undecodable("not CBOR: a large integer has too many digits, or none")
        try:
            number = int(value or "0", 16)
        except ValueError:
            raise Undecodable("not CBOR: a large integer is no byte string") from None
        return exact(number if tag == POSITIVE_BIGNUM else -1 - number)
