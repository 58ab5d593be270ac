"""How long groups wait for their members, and how much they may hold."""

from __future__ import annotations

from dataclasses import dataclass

SESSION_MS = 3_000
SESSION_MS_MIN = 500
SESSION_MS_MAX = 60_000
LEASE_MS = 30_000
LEASE_MS_MAX = 12 * 3_600_000
DELIVERIES_MAX = 5


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """The limits of all groups of a log.

    `reserved` are the groups of the gateway's own loops, which nobody else may join or move. Of
    each group at most `leased_max` records are out with competing consumers.
    """

    groups_max: int = 200
    members_max: int = 64
    leased_max: int = 1_000
    reserved: frozenset[str] = frozenset({"rules"})
