"""One thing that `penstock doctor` has looked at."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How good a finding is."""

    ok = "ok"
    warn = "warn"
    fail = "fail"


class Finding(NamedTuple):
    """One thing that was looked at, and what to do when it isn't well."""

    level: Level
    subject: str
    text: str
    advice: str = ""
