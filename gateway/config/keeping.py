"""Reads what a stream keeps: how safely, how long, of what, and what slow groups lose."""

from __future__ import annotations

from typing import Any

from gateway.documents import Section
from gateway.store import StreamSpec

FOREVER = "forever"
NONE = "none"
DURABILITIES = ("fsync", "os", "memory")
BEHIND = ("block", "drop", "alert")
COMPACT_BY = ("device", "topic")
AGE_MS_LEAST = 1_000
SIZE_BYTES_LEAST = 1 << 16


def read_keeping(section: Section, spec: StreamSpec) -> dict[str, Any]:
    """The fields of a stream's specification that its section in the file sets."""
    durability = section.choice("durability", DURABILITIES, spec.durability)
    if durability == "memory" and section.section("compact") is not None:
        section.complain("a stream that compacts can't be kept in memory", "durability")
    return {
        "durability": durability,
        "behind": section.choice("behind", BEHIND, spec.behind),
        **_read_compaction(section, spec),
        **_read_retention(section),
    }


def _read_compaction(stream: Section, spec: StreamSpec) -> dict[str, Any]:
    """The last record of each device or topic; without a retention of its own, for ever."""
    node = stream.get("compact")
    if node is not None and node.kind == "scalar" and node.source == NONE:
        return {}
    section = stream.section("compact")
    if section is None:
        return {}
    section.require("by")
    found = {
        "compact_by": section.choice("by", COMPACT_BY, COMPACT_BY[0]),
        "tombstones_ms": section.duration_ms("tombstones", spec.tombstones_ms),
        "retention_age_ms": None,
    }
    section.finish("by", "tombstones")
    return found


def _read_retention(stream: Section) -> dict[str, Any]:
    """Age, size and count, whichever is reached first; `forever` sets no limit at all."""
    node = stream.get("retention")
    if node is None:
        return {}
    if node.kind == "scalar":
        if node.source != FOREVER:
            stream.complain_at(node, f"{node.shown} is not 'forever' or a mapping of limits")
        return {"retention_age_ms": None}
    section = stream.section("retention")
    if section is None:
        return {}
    for limit in ("size", "count"):
        if limit in section and "compact" in stream:
            section.complain("a stream that compacts can only be limited by age", limit)
    found = _read_limits(section)
    section.finish("age", "size", "count")
    return found


def _read_limits(section: Section) -> dict[str, Any]:
    found: dict[str, Any] = {}
    age = section.get("age")
    if age is not None:
        is_forever = age.kind == "scalar" and age.source == FOREVER
        found["retention_age_ms"] = (
            None if is_forever else section.duration_ms("age", least=AGE_MS_LEAST)
        )
    if "size" in section:
        found["retention_bytes"] = section.size_bytes("size", least=SIZE_BYTES_LEAST)
    if "count" in section:
        found["retention_count"] = section.integer("count", least=1)
    return found
