"""What changes in tables together with records that a consumer of the log writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.events import Run
from gateway.store import Put

PutsOf = Callable[[Sequence[Run]], Sequence[Put]]
"""Tells which tables must change with these records, in their commit."""


def no_puts(runs: Sequence[Run]) -> Sequence[Put]:
    """No table changes with derived records."""
    return ()
