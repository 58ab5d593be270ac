"""How a binary frame is laid out: its parts, in the order of their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Order = Literal["little", "big"]

SCALARS: Final = {
    "u8": "B",
    "i8": "b",
    "u16": "H",
    "i16": "h",
    "u32": "I",
    "i32": "i",
    "u64": "Q",
    "i64": "q",
    "f16": "e",
    "f32": "f",
    "f64": "d",
    "bool": "?",
}
"""The types that `struct` knows, with its letters."""

ODD_INTEGERS: Final = {"u24": False, "i24": True}
"""The types of three bytes, and whether they have a sign."""

SIZES: Final = {
    "u8": 1,
    "i8": 1,
    "bool": 1,
    "u16": 2,
    "i16": 2,
    "f16": 2,
    "u24": 3,
    "i24": 3,
    "u32": 4,
    "i32": 4,
    "f32": 4,
    "u64": 8,
    "i64": 8,
    "f64": 8,
}
RUNS: Final = ("text", "bytes", "skip")
"""The types whose `count` is a number of bytes."""

TYPES: Final = (*SIZES, *RUNS)
REST: Final = "rest"


class Bits(NamedTuple):
    """Some bits of an integer as a field: bit 0 is the least significant; one bit is a boolean."""

    name: str
    first: int
    last: int

    @property
    def mask(self) -> int:
        return (1 << (self.last - self.first + 1)) - 1


class Condition(NamedTuple):
    """When a part is there: an earlier part has one of these values; none means: is not zero."""

    name: str
    values: tuple[int | bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a frame.

    `count` is None for a single value, a number, the name of an earlier part, or `rest`: up to the
    end of the frame. A part with `items` is a list of such groups of parts.
    """

    name: str
    type: str
    order: Order = "big"
    count: int | str | None = None
    bits: tuple[Bits, ...] = ()
    when: Condition | None = None
    items: tuple[Part, ...] = ()

    @property
    def is_fixed(self) -> bool:
        """Whether it can be read together with its neighbours."""
        if self.when is not None or self.items:
            return False
        if self.type == "skip":
            return isinstance(self.count, int)
        return self.type in SCALARS and self.count is None
