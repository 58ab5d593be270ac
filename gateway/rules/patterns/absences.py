"""What absence means for one rule: how long, by which clock, and whose.

A silence is a condition that becomes true with each message and ripens when `for` has passed since;
the next message makes it false. So its alarm has the life that every alarm has.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.rules.reasons import Teller, spell_duration
from gateway.rules.spec import AbsentSpec, Expression, RuleSpec, Scope, TimeSpec

IS_EXPECTED = "is_expected"
"""Not a name of the language: in the scope it is false for a key that left its inventory."""


class AbsencePlan:
    """The absence that one rule looks for."""

    __slots__ = ("for_ms", "grace_ms", "lookup", "reasons", "samples")

    def __init__(self, absent: AbsentSpec) -> None:
        self.for_ms = absent.for_ms
        self.grace_ms = absent.startup_grace_ms
        self.lookup = absent.expect_lookup
        self.samples: tuple[Expression, ...] = ()
        self.reasons: tuple[Teller, Teller] = (Silent(), HeardAgain(absent.expect_lookup))


class Silent:
    """Why the alarm of an absence is raised."""

    __slots__ = ()

    def tell(self, scope: Scope, held_ms: int = 0) -> str:
        """The reason as a text."""
        return f"nothing came for {spell_duration(held_ms)}"


class HeardAgain:
    """Why the alarm of an absence clears."""

    __slots__ = ("lookup",)

    def __init__(self, lookup: str | None) -> None:
        self.lookup = lookup

    def tell(self, scope: Scope, held_ms: int = 0) -> str:
        """The reason as a text."""
        if scope.get(IS_EXPECTED) is False:
            return f"lookup:{self.lookup} expects it no more"
        return "a message came"


def on_its_clock(spec: RuleSpec) -> RuleSpec:
    """The rule with the time on which it runs: a silence by arrival needs no time of events."""
    if spec.absent is None or spec.absent.clock == "event":
        return spec
    return replace(spec, time=TimeSpec(by="arrival", idle_ms=0))
