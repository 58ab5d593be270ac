"""One connection that says hello and goodbye, to find out whether a server is there; sans-IO."""

from __future__ import annotations

from firmware_sim.effects import Effect
from firmware_sim.line import Line, LineOptions, Phase


class Greeter:
    """Connects once and leaves; an actor that is done after the first answer or failure."""

    def __init__(self, options: LineOptions) -> None:
        self.line = Line(options, 0)

    @property
    def is_done(self) -> bool:
        return self.line.phase is Phase.CLOSED or bool(self.line.latest_error)

    @property
    def next_due_ms(self) -> int | None:
        return None if self.is_done else self.line.next_due_ms

    def advance(self, now_ms: int) -> list[Effect]:
        return self.line.advance(now_ms)

    def opened(self, now_ms: int) -> list[Effect]:
        return self.line.opened(now_ms)

    def lost(self, now_ms: int, why: str) -> None:
        self.line.lost(now_ms, why)

    def block(self, now_ms: int, *, is_blocked: bool) -> list[Effect]:
        return []

    def received(self, arrived: bytes, now_ms: int) -> list[Effect]:
        """Take the answer, whatever it is."""
        _, effects = self.line.received(arrived, now_ms)
        return effects + self.line.close(now_ms) if self.line.phase is Phase.UP else effects
