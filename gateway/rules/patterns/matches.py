"""What a sequence finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from gateway.rules.values import Value


class Match(NamedTuple):
    """Events that fit the steps of a sequence; a `timeout` has only some of them.

    `since_ms` is the time of the first event. `names` are what expressions read: each step that
    took something, by its id. `last` are the names of the last event, where the match came about
    without one.
    """

    event: Literal["match", "timeout"]
    time_ms: int
    since_ms: int
    names: Mapping[str, Value]
    last: Mapping[str, Value]


NOTHING: list[Match] = []
"""No matches; never changed."""
