"""Reads the section `store:`: when commits are made, what is kept free, what the flash may bear."""

from __future__ import annotations

from typing import Any

from gateway.documents import Section, parse_size_bytes
from gateway.store import WearOptions

LINGER_MS_MAX = 10_000
AUTO = "auto"
NONE = "none"
PER_DAY = "/day"
TAIL_BYTES_LEAST = 1 << 20
BUDGET_BYTES_LEAST = 1 << 20
RESERVE_BYTES_LEAST = 1 << 20
SCRUB_MS_LEAST = 60_000
MEMORY_MS_LEAST = 1_000
MEMORY_BYTES_LEAST = 1 << 16
KEYS = (
    "linger",
    "tail_size",
    "reserve",
    "write_budget",
    "card_endurance",
    "scrub",
    "memory_window",
    "memory_size",
    "wal_size",
)
WAL_BYTES_LEAST = 128 << 20


def read_store(top: Section) -> dict[str, Any]:
    """The fields of the configuration that the section sets."""
    section = top.section("store")
    if section is None:
        return {}
    found: dict[str, Any] = {}
    linger = section.get("linger")
    if linger is not None:
        is_auto = linger.kind == "scalar" and linger.source == AUTO
        found["linger_ms"] = None if is_auto else section.duration_ms("linger", most=LINGER_MS_MAX)
    if "tail_size" in section:
        found["tail_bytes_max"] = section.size_bytes("tail_size", least=TAIL_BYTES_LEAST)
    if "reserve" in section:
        found["reserve_bytes"] = _reserve(section)
    if "scrub" in section:
        found["scrub_ms"] = _scrub(section)
    if "write_budget" in section or "card_endurance" in section:
        found["wear"] = WearOptions(_budget(section), _endurance(section))
    found |= _memory(section)
    section.finish(*KEYS)
    return found


def _memory(section: Section) -> dict[str, Any]:
    """How much may be gathered: in memory by streams that are kept there, and in the WAL."""
    found: dict[str, Any] = {}
    if "memory_window" in section:
        found["memory_ms"] = section.duration_ms("memory_window", least=MEMORY_MS_LEAST)
    if "memory_size" in section:
        found["memory_bytes_max"] = section.size_bytes("memory_size", least=MEMORY_BYTES_LEAST)
    if "wal_size" in section:
        found["wal_bytes_max"] = section.size_bytes("wal_size", least=WAL_BYTES_LEAST)
    return found


def _reserve(section: Section) -> int:
    size_bytes = section.size_bytes("reserve")
    if 0 < size_bytes < RESERVE_BYTES_LEAST:
        section.complain("'reserve' must be 0 or at least 1MiB", "reserve")
    return size_bytes


def _scrub(section: Section) -> int | None:
    """How long a pass over the whole log takes; `none` reads nothing."""
    node = section.get("scrub")
    if node is not None and node.kind == "scalar" and node.source == NONE:
        return None
    return section.duration_ms("scrub", least=SCRUB_MS_LEAST)


def _endurance(section: Section) -> int | None:
    node = section.get("card_endurance")
    if node is None or (node.kind == "scalar" and node.source == NONE):
        return None
    return section.size_bytes("card_endurance", least=BUDGET_BYTES_LEAST)


def _budget(section: Section) -> int | None:
    """A size for each day, such as `2GiB/day`."""
    node = section.get("write_budget")
    if node is None or (node.kind == "scalar" and node.source == NONE):
        return None
    text = node.source.removesuffix(PER_DAY) if node.kind == "scalar" else ""
    size_bytes = parse_size_bytes(text)
    if size_bytes is None or not node.source.endswith(PER_DAY) or size_bytes < BUDGET_BYTES_LEAST:
        section.complain_at(node, f"{node.shown} is not a budget of 1MiB/day or more (2GiB/day)")
        return None
    return size_bytes
