"""Guesses at what a person meant to write."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`, did you mean 'x'?` for the candidate that is close to `word`, or the empty string."""
    close = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'?" if close else ""
