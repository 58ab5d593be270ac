"""Reads what a profile says of how often its devices send, and how they number it."""

from __future__ import annotations

from typing import Final

from gateway.devices.reports import ReportPolicy, SequenceField
from gateway.documents import Section

INTERVAL_MS_LEAST: Final = 1_000
INTERVAL_MS_MOST: Final = 30 * 86_400_000
WRAP_MOST: Final = 1 << 63


def read_sequence(section: Section) -> SequenceField:
    """The field that numbers a device's messages."""
    section.require("field")
    path = tuple(section.text("field").split("."))
    if not all(path):
        section.complain("'field' is a path such as header.seq", "field")
    wrap = section.integer("wrap", least=2, most=WRAP_MOST) if "wrap" in section else None
    section.finish()
    return SequenceField(path, wrap)


def read_report(section: Section) -> ReportPolicy:
    """How often a device sends."""
    found = {
        key: section.duration_ms(key, least=INTERVAL_MS_LEAST, most=INTERVAL_MS_MOST)
        for key in ("every", "heartbeat")
        if key in section
    }
    if not found:
        section.require("every")
    policy = ReportPolicy(found.get("every"), found.get("heartbeat"))
    every_ms, heartbeat_ms = policy
    if every_ms is not None and heartbeat_ms is not None and heartbeat_ms < every_ms:
        section.complain(
            "'heartbeat' is the longest pause, so no shorter than 'every'", "heartbeat"
        )
    section.finish("every", "heartbeat")
    return policy
