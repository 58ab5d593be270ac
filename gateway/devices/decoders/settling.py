"""From what binary formats can say to JSON values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.devices.decoders.limits import (
    DecodeLimits,
    Undecodable,
    epoch_ms,
    exact,
    finite,
    too_deep,
    too_many,
)

PLAIN = frozenset({str, bool, type(None)})


class Settling:
    """Turns decoded values into JSON values, within limits."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits

    def settle(self, value: Any) -> Any:
        """The same value in the words of JSON.

        Bytes become hexadecimal text, times milliseconds since 1970, integers as keys become text.

        Raises:
            Undecodable: it is nested too deep, holds too much, or has a key that is no text.
        """
        return self._settle(value, 0, [self._limits.values_max])

    def _settle(self, value: Any, depth: int, left: list[int]) -> Any:
        kind = type(value)
        if kind in PLAIN:
            return value
        if kind is float:
            return finite(value)
        if kind is int:
            return exact(value)
        if kind is dict or kind is list:
            if depth >= self._limits.depth_max:
                raise too_deep(self._limits)
            left[0] -= len(value)
            if left[0] < 0:
                raise too_many(self._limits)
            if kind is list:
                return [self._settle(one, depth + 1, left) for one in value]
            return {
                key if type(key) is str else key_text(key): self._settle(one, depth + 1, left)
                for key, one in value.items()
            }
        return _settle_rare(value)


def _settle_rare(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return value.hex()
    if isinstance(value, datetime):
        return epoch_ms(value)
    raise Undecodable(f"a {type(value).__name__} has no word in JSON")


def key_text(key: Any) -> str:
    """The key of a map as text.

    Raises:
        Undecodable: it is neither text nor an integer.
    """
    if isinstance(key, str):
        return key
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    raise Undecodable("a key is neither text nor an integer")
