"""`--quota`: what a device may publish and how many clients it may have, as name=value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec
import typer

from gateway.devices import Beyond, DeviceInvalid, DeviceQuota
from gateway.documents import parse_size_bytes

FIELDS = {
    "messages": "messages_per_s",
    "bytes": "bytes_per_s",
    "connections": "connections_max",
    "beyond": "beyond",
}
QUOTAS = typer.Option(
    [],
    "--quota",
    help="messages=10 (a second), bytes=64KiB (a second), connections=2 or beyond=slow|drop|refuse;"
    " may be given several times; 'messages=' leaves it to the profile.",
)


def quota_of(texts: Sequence[str], before: DeviceQuota) -> DeviceQuota:
    """A quota with what the options say of it.

    Raises:
        DeviceInvalid: one says nothing that a quota has.
    """
    pairs = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise DeviceInvalid(f"quota '{text}': write such as messages=10")
        pairs[name] = value
    return quota_with(pairs, before)


def quota_with(pairs: Mapping[str, str], before: DeviceQuota) -> DeviceQuota:
    """A quota with these parts changed; an empty text leaves a part to others.

    Raises:
        DeviceInvalid: a part isn't one of a quota's, or can't be so.
    """
    changed: dict[str, Any] = {}
    for name, text in pairs.items():
        if name not in FIELDS:
            raise DeviceInvalid(f"quota '{name}' is not one of {', '.join(FIELDS)}")
        changed[FIELDS[name]] = None if not text else _value(name, text)
    return msgspec.structs.replace(before, **changed)


def _value(name: str, text: str) -> int | str:
    if name == "beyond":
        if text not in get_args(Beyond):
            raise DeviceInvalid(
                f"quota beyond '{text}' is not one of {', '.join(get_args(Beyond))}"
            )
        return text
    number = parse_size_bytes(text) if name == "bytes" else int(text) if text.isdecimal() else None
    least = 1 if name == "connections" else 0
    if number is None or number < least:
        raise DeviceInvalid(f"quota {name} '{text}' is not a number of {least} or more")
    return number


def parts_of(quota: DeviceQuota) -> dict[str, Any]:
    """What a quota says, by the names of the options."""
    found = {name: getattr(quota, field) for name, field in FIELDS.items()}
    return {name: value for name, value in found.items() if value is not None}
