"""What a `*.test.yaml` file says, as plain values.

Times are milliseconds after the start of the case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gateway.rules.values import Value


class TrialEvent(NamedTuple):
    """A message that comes in at `arrival_ms`; the device is the topic's where it is None."""

    arrival_ms: int
    topic: str
    device: str | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must happen between two moments, both included; or must not.

    `about` is what is looked at: a step in the life of an alarm, how an alarm stands at `end_ms`, a
    message that is published, or a record of a derived stream. Every one of `fields` must be as it
    says. `times` None means at least once.
    """

    about: Literal["step", "state", "publication", "record"]
    line: int
    column: int
    start_ms: int
    end_ms: int | None
    fields: Mapping[str, Value] = field(default_factory=dict)
    times: int | None = None
    is_forbidden: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One case: what comes in from `start_ms` since 1970 on, and what is expected."""

    name: str
    path: str
    line: int
    start_ms: int
    until_ms: int
    events: tuple[TrialEvent, ...]
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class TrialFile:
    """One file; the rule files are named from the folder that it lies in.

    `enabled` are the rules that rest in their files, and are tried all the same.
    """

    path: str
    rules: tuple[str, ...]
    enabled: tuple[str, ...]
    trials: tuple[Trial, ...]
