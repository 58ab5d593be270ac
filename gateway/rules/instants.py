"""Moments in milliseconds, and the one that doesn't come."""

from __future__ import annotations

NEVER = 1 << 62
"""Later than every time that can be; plain, so that times compare with it."""
