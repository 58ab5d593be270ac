"""What a scalar stands for: numbers and constants of YAML 1.2, durations, sizes.

Of numbers, only decimal finite ones exist: `0x1F` and `.inf` are text, `010` is ten.
"""

from __future__ import annotations

import math
import re

INTEGER = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
CONSTANTS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
DURATION = re.compile(
    "".join(f"(?:([0-9]{{1,18}}){unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms"))
)
DURATION_UNITS_MS = (86_400_000, 3_600_000, 60_000, 1_000, 1)
SIZE = re.compile(r"([0-9]{1,18}) *(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?")
SIZE_UNITS = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
# What durations and sizes, and the whole numbers that the log keeps, have room for.
WHOLE_MAX = (1 << 63) - 1
WHOLE_DIGITS_MAX = 18

Scalar = str | int | float | bool | None


def resolve_scalar(text: str, *, is_plain: bool) -> Scalar:
    """Read a scalar as YAML 1.2 does; one that is not plain, as `"7"`, is text."""
    if not is_plain:
        return text
    if text in CONSTANTS:
        return CONSTANTS[text]
    if INTEGER.fullmatch(text) and len(text) <= WHOLE_DIGITS_MAX:
        return int(text)
    if FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def parse_duration_ms(text: str) -> int | None:
    """Read `500ms`, `30s`, `1h30m` or `7d` as milliseconds; None when it is not a duration."""
    match = DURATION.fullmatch(text)
    if match is None or not text:
        return None
    duration_ms = sum(
        int(count) * unit
        for count, unit in zip(match.groups(), DURATION_UNITS_MS, strict=True)
        if count
    )
    return duration_ms if duration_ms <= WHOLE_MAX else None


def parse_size_bytes(text: str) -> int | None:
    """Read `512`, `64KiB` or `2GB` as bytes; None when it is not a size."""
    match = SIZE.fullmatch(text)
    if match is None:
        return None
    size_bytes = int(match[1]) * SIZE_UNITS[match[2] or "B"]
    return size_bytes if size_bytes <= WHOLE_MAX else None
