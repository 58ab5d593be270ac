"""How a recording is told again: at another time, several times over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from firmware_sim.recording import Recording, Row, Survey

ALONE_MS = 1_000
NOW = "now"


@dataclass(frozen=True, slots=True)
class Retelling:
    """How often, and when; `loops` 0 is for ever, `shift` is milliseconds, or `now` as the start.

    Each repetition begins one average step of the recording after the end of the one before.
    """

    loops: int = 1
    shift: int | str = 0

    def shift_ms(self, survey: Survey, now_ms: int) -> int:
        """By how much the first telling moves."""
        return now_ms - survey.first_ms if isinstance(self.shift, str) else self.shift

    def rows(self, survey: Survey) -> int | None:
        """How many rows are told in all; None when there is no end."""
        return survey.rows * self.loops if self.loops else None

    def tell(self, recording: Recording, survey: Survey, now_ms: int) -> Iterator[Row]:
        """Every row of every repetition, in order."""
        shift_ms, told = self.shift_ms(survey, now_ms), 0
        while not self.loops or told < self.loops:
            yield from recording.rows(shift_ms)
            shift_ms += period_ms(survey)
            told += 1


def period_ms(survey: Survey) -> int:
    """How long one telling lasts, with the step to the next."""
    span_ms = max(0, survey.last_ms - survey.first_ms)
    step_ms = span_ms // (survey.rows - 1) if survey.rows > 1 else ALONE_MS
    return span_ms + max(1, step_ms)
