"""What faults do to readings between sensor and line: twice, in the wrong order, damaged.

Everything here is a fault of the device: a server that keeps exactly what it was sent is right.
"""

from __future__ import annotations

from collections.abc import Sequence

from firmware_sim.chance import derive_key, draw_unit, draw_word
from firmware_sim.faults import FaultKind
from firmware_sim.outbox import Outgoing

HELD_MAX = 1_000
# The first bytes of a payload, with `ts` and `seq`, stay: no two damaged payloads are equal.
INTACT_BYTES = 40
BITS_FLIPPED_MAX = 4
CUT_RATIO = 0.5
BYTE_BITS = 8
KINDS = (FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.CORRUPT)


class Distortion:
    """Bends the readings of one device while a fault of these lasts."""

    def __init__(self, key: int) -> None:
        self._key = derive_key(key, "distortion")
        self._until_ms = dict.fromkeys(KINDS, 0)
        self._over_ms = 0
        self._held: list[Outgoing] = []

    @property
    def next_due_ms(self) -> int | None:
        """When what is held back must be let go; None when nothing is."""
        return self._until_ms[FaultKind.REORDER] if self._held else None

    def begin(self, kind: FaultKind, until_ms: int) -> None:
        """Let a fault last until then."""
        self._until_ms[kind] = max(self._until_ms[kind], until_ms)
        self._over_ms = max(self._over_ms, until_ms)

    def is_corrupting(self, now_ms: int) -> bool:
        return now_ms < self._over_ms and now_ms < self._until_ms[FaultKind.CORRUPT]

    def corrupt(self, payload: bytes, seq: int) -> bytes:
        """Damage a payload: bits flip, or its end is missing."""
        key = derive_key(self._key, "corrupt", seq)
        if len(payload) > INTACT_BYTES and draw_unit(key, 0) < CUT_RATIO:
            kept = INTACT_BYTES + int(draw_unit(key, 1) * (len(payload) - INTACT_BYTES))
            return payload[:kept]
        damaged = bytearray(payload[INTACT_BYTES:] or b"\n")
        for number in range(1 + draw_word(key, 1) % BITS_FLIPPED_MAX):
            place = draw_word(key, 2 + number)
            damaged[place % len(damaged)] ^= 1 << (place >> 32) % BYTE_BITS
        return payload[:INTACT_BYTES] + damaged

    def pass_on(self, readings: Sequence[Outgoing], now_ms: int) -> list[Outgoing]:
        """Take what was just read; returns what goes to the buffer now, in that order."""
        passed = list(readings)
        if now_ms >= self._over_ms and not self._held:
            return passed
        if now_ms < self._until_ms[FaultKind.DUPLICATE]:
            passed = [each for one in passed for each in (one, one._replace(is_copy=True))]
        if now_ms >= self._until_ms[FaultKind.REORDER]:
            return [*self.release(), *passed]
        self._held += passed
        return self.release() if len(self._held) >= HELD_MAX else []

    def release(self) -> list[Outgoing]:
        """Let go of everything that is held back, in an order of chance."""
        held, self._held = self._held, []
        if not held:
            return []
        key = derive_key(self._key, "reorder", held[0].seq)
        ranks = sorted(range(len(held)), key=lambda at: draw_word(key, at))
        return [held[at] for at in ranks]
