"""Which events say again what another has said: `dedupe` (RULES W13)."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import orjson

from gateway.rules.spec import DedupeSpec, Scope
from gateway.rules.values import UNKNOWN, Value

SEEN_MAX: Final = 1_000
DIGEST_BYTES: Final = 12

Seen = dict[str, int]
"""When an event was taken, by digest of its `by` values, oldest first; plain, to be stored."""


class Duplicates:
    """The `dedupe` of one rule, worked out once."""

    __slots__ = ("evaluates", "within_ms")

    def __init__(self, spec: DedupeSpec) -> None:
        self.evaluates = tuple(expression.evaluate for expression in spec.by)
        self.within_ms = spec.within_ms

    def is_repeated(self, seen: Seen, scope: Scope, time_ms: int) -> bool:
        """Whether an equal event was taken at most `within` ago; else remember this one.

        Times never go back. An event with a part that can't be known repeats nothing. Where there
        is no more room the oldest is forgotten.
        """
        values = [evaluate(scope) for evaluate in self.evaluates]
        if any(value is UNKNOWN for value in values):
            return False
        self._forget(seen, time_ms - self.within_ms)
        digest = digest_of(values)
        if digest in seen:
            return True
        if len(seen) >= SEEN_MAX:
            del seen[next(iter(seen))]
        seen[digest] = time_ms
        return False

    @staticmethod
    def _forget(seen: Seen, before_ms: int) -> None:
        while seen:
            oldest = next(iter(seen))
            if seen[oldest] >= before_ms:
                return
            del seen[oldest]


def digest_of(values: list[Value]) -> str:
    """A short text, equal for equal values; 5 and 5.0 are equal."""
    plain = [as_written_once(value) for value in values]
    encoded = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    return blake2b(encoded, digest_size=DIGEST_BYTES).hexdigest()


def as_written_once(value: Value) -> Value:
    """The value with one form for each number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [as_written_once(item) for item in value]
    if isinstance(value, dict):
        return {name: as_written_once(item) for name, item in value.items()}
    return value
