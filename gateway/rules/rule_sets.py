"""What rule files make together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.errors import Complaint
from gateway.rules.spec import Lookup, RuleSpec, Schedule, Zone


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything that was loaded together; `warnings` are worth reading, and stop nothing.

    `inventories` are the keys of the look-ups whose silence a rule looks for.
    """

    rules: tuple[RuleSpec, ...]
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    zones: Mapping[str, Zone] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    warnings: tuple[Complaint, ...] = ()
    inventories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
