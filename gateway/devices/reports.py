"""What a device owes by its profile: numbers without gaps, and a word from time to time."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

REPORTS_TABLE: Final = "device-reports"
SILENCE_FACTOR: Final = 3


class SequenceField(NamedTuple):
    """The field in which a device numbers its messages; with `wrap`, from 0 to `wrap` - 1."""

    path: tuple[str, ...]
    wrap: int | None = None


class ReportPolicy(NamedTuple):
    """How often a device sends: usually `every_ms`, and after `heartbeat_ms` at the latest."""

    every_ms: int | None = None
    heartbeat_ms: int | None = None

    @property
    def silent_after_ms(self) -> int:
        """After how long without a word a device is held to be silent."""
        if self.heartbeat_ms is not None:
            return self.heartbeat_ms
        return SILENCE_FACTOR * (self.every_ms or 0)


class Seen(msgspec.Struct):
    """What was seen last of a device's messages of one profile."""

    last_ms: int
    number: int | None = None
    is_silent: bool = False


class Step(NamedTuple):
    """From one number of a device to the next: how many are missing, or that it began anew."""

    missing: int = 0
    is_restart: bool = False


def sequence_step(last: int | None, number: int, wrap: int | None) -> Step:
    """What lies between two numbers that came one after the other; nothing before the first."""
    if last is None or number == last:
        return Step()
    ahead = number - last
    if wrap is not None:
        ahead %= wrap
        if ahead > wrap // 2:
            return Step(is_restart=True)
    if ahead < 0:
        return Step(is_restart=True)
    return Step(missing=ahead - 1)


def number_in(value: Any, sequence: SequenceField) -> int | None:
    """The number in a decoded payload; None when there is none."""
    for name in sequence.path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def encode_seen(seen: Seen) -> bytes:
    """What the table keeps."""
    return msgspec.msgpack.encode(seen)


def decode_seen(encoded: bytes) -> Seen | None:
    """Read back what `encode_seen` made; None for anything else."""
    try:
        return msgspec.msgpack.decode(encoded, type=Seen)
    except msgspec.DecodeError:
        return None
