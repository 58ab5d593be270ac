"""Reads the section `groups:`: how many consumer groups there may be, and what each may hold."""

from __future__ import annotations

from gateway.documents import Section
from gateway.store import GroupOptions

MOST = {"groups": 10_000, "members": 1_024, "leased": 100_000}


def read_groups(top: Section) -> GroupOptions:
    """The section, or what holds without it."""
    base = GroupOptions()
    section = top.section("groups")
    if section is None:
        return base
    found = GroupOptions(
        groups_max=_limit(section, "groups", base.groups_max),
        members_max=_limit(section, "members", base.members_max),
        leased_max=_limit(section, "leased", base.leased_max),
    )
    section.finish(*MOST)
    return found


def _limit(section: Section, key: str, default: int) -> int:
    return section.integer(key, default, least=1, most=MOST[key])
