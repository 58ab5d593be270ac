"""Topic names and topic filters: what they may look like, and which filter matches which name."""

from __future__ import annotations

WILDCARDS = "+#"


def has_wildcard(topic: str) -> bool:
    """Whether a wildcard stands anywhere in the text."""
    return any(wildcard in topic for wildcard in WILDCARDS)
