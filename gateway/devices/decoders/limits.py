"""What a decoder may be made to build, and the errors with which it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.errors import PenstockError

Decode = Callable[[bytes], Any]
"""Takes a payload, returns its JSON value; raises Undecodable and nothing else."""

INTEGER_LEAST = -(1 << 63)
INTEGER_MOST = (1 << 64) - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_MS = 1_000
DAY_MS = 86_400_000


class Undecodable(PenstockError, ValueError):
    """A payload is not of the format that its profile names; the text says what is wrong."""


class PayloadInvalid(Undecodable):
    """A payload has its format, but a value is missing, of another type, or out of range."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """How large one payload may be, how deep nested, and how many values it may hold."""

    size_bytes_max: int = 256 << 10
    depth_max: int = 16
    values_max: int = 10_000

    def check_size(self, raw: bytes) -> None:
        """Refuse a payload that is too large to be looked at.

        Raises:
            Undecodable: it is.
        """
        if len(raw) > self.size_bytes_max:
            raise Undecodable(f"{len(raw)} bytes; at most {self.size_bytes_max} are decoded")


def check_shape(value: Any, limits: DecodeLimits) -> None:
    """Refuse a value that is nested too deep or holds too many values.

    Raises:
        Undecodable: it does.
    """
    level = [value]
    depth = count = 0
    while level:
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        if any(isinstance(one, (dict, list)) for one in level):
            depth += 1
        count += len(inner)
        if depth > limits.depth_max:
            raise too_deep(limits)
        if count > limits.values_max:
            raise too_many(limits)
        level = inner


def too_deep(limits: DecodeLimits) -> Undecodable:
    """The refusal of a value that is nested too deep."""
    return Undecodable(f"nested deeper than {limits.depth_max} levels")


def too_many(limits: DecodeLimits) -> Undecodable:
    """The refusal of a value that holds too many others."""
    return Undecodable(f"more than {limits.values_max} values")


def finite(number: float) -> float | None:
    """The number, or None for what JSON has no word for: infinities and not-a-number."""
    return number if math.isfinite(number) else None


def exact(number: int) -> int | float | None:
    """The integer if JSON readers take it, else the nearest float."""
    if INTEGER_LEAST <= number <= INTEGER_MOST:
        return number
    try:
        return float(number)
    except OverflowError:
        return None


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970; a time without a zone is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    span = aware - EPOCH
    return span.days * DAY_MS + span.seconds * SECOND_MS + span.microseconds // SECOND_MS
