"""Whether a changed profile still fits what was sent before, and what reads it.

Directions are those of Confluent's schema registry. `backward`: what devices have sent before, and
what older devices send, is read by the new profile as well as by the old one. `forward`: rules and
programs that were written for the old profile understand what the new one makes of a payload.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final, Literal, NamedTuple

from gateway.devices.profiles.spec import FieldSpec, PayloadSpec, Profile

Direction = Literal["backward", "forward"]
ProfileMode = Literal["backward", "forward", "full", "none"]
BOTH: Final[tuple[Direction, ...]] = ("backward", "forward")
PROFILE_MODES: Final[dict[ProfileMode, tuple[Direction, ...]]] = {
    "backward": ("backward",),
    "forward": ("forward",),
    "full": BOTH,
    "none": (),
}
WIDER: Final = {"integer": ("number", "any"), "number": ("any",), "text": ("any",)}
"""The types that hold every value of a type, beside itself."""


class ProfileBreak(NamedTuple):
    """One thing that a change breaks."""

    profile: str
    direction: Direction
    message: str
    path: str


def profile_breaks(old: Sequence[Profile], new: Sequence[Profile]) -> list[ProfileBreak]:
    """What the change from one set of profiles to another breaks, in the order of the old ones.

    A profile that is new breaks nothing.
    """
    by_name = {profile.name: profile for profile in new}
    found: list[ProfileBreak] = []
    for before in old:
        after = by_name.get(before.name)
        if after is None:
            if before.topics:
                what = "the profile is gone: its payloads are read as JSON"
                found += [ProfileBreak(before.name, way, what, before.path) for way in BOTH]
            continue
        found += [
            ProfileBreak(before.name, way, what, after.path)
            for way, what in _of_profile(before, after)
        ]
    return found


def _of_profile(old: Profile, new: Profile) -> Iterator[tuple[Direction, str]]:
    topics = {own.text for own in new.topics}
    for own in old.topics:
        if own.text not in topics:
            yield "backward", f"'{own.text}' is not its topic any more"
    if _layout(old.payload) != _layout(new.payload):
        told = f"the payload is read differently: {old.payload.format}, now {new.payload.format}"
        yield from ((way, told) for way in BOTH)
    if old.time != new.time:
        yield from ((way, "the time of measurement comes from elsewhere") for way in BOTH)
    before = {field.name: field for field in old.fields}
    after = {field.name: field for field in new.fields}
    for name in chain(before, after.keys() - before.keys()):
        yield from _of_field(name, before.get(name), after.get(name))
    yield from _of_schemas(old.schema, new.schema)
    yield from _of_limits(old, new)


def _layout(payload: PayloadSpec) -> tuple[Any, ...]:
    # More columns of a CSV line make other lines.
    return (
        payload.format,
        payload.name,
        payload.columns,
        payload.separator,
        payload.layout,
        payload.message,
        payload.descriptor,
    )


def _of_field(
    name: str, old: FieldSpec | None, new: FieldSpec | None
) -> Iterator[tuple[Direction, str]]:
    if old is None:
        if new is not None and new.is_required:
            yield "backward", f"field '{name}' is new and required: payloads of before lack it"
        return
    if new is None:
        if old.is_required:
            yield "forward", f"field '{name}' is gone: readers rely on it"
        return
    if new.is_required and not old.is_required:
        yield "backward", f"field '{name}' is required now: payloads of before may lack it"
    if old.is_required and not new.is_required:
        yield "forward", f"field '{name}' isn't required any more: readers rely on it"
    meanings = [(one.source, one.scale, one.offset, one.unit) for one in (old, new)]
    if meanings[0] != meanings[1]:
        told = f"field '{name}' means something else: its source, scale, offset or unit changed"
        yield from ((way, told) for way in BOTH)
    yield from _of_types(name, old, new)
    yield from _of_ranges(name, old, new)


def _of_types(name: str, old: FieldSpec, new: FieldSpec) -> Iterator[tuple[Direction, str]]:
    if old.type == new.type:
        return
    if new.type not in WIDER.get(old.type, ("any",)):
        yield "backward", f"field '{name}' was {old.type} and must be {new.type} now"
    if old.type not in WIDER.get(new.type, ("any",)):
        yield "forward", f"field '{name}' may be {new.type} where readers expect {old.type}"


def _of_ranges(name: str, old: FieldSpec, new: FieldSpec) -> Iterator[tuple[Direction, str]]:
    if not _holds(new, old):
        yield "backward", f"field '{name}' has a narrower range: payloads of before may be outside"
    if not _holds(old, new):
        yield "forward", f"field '{name}' has a wider range than readers expect"


def _holds(outer: FieldSpec, inner: FieldSpec) -> bool:
    """Whether every value in the range of one field is in that of the other."""
    is_low = outer.minimum is None or (inner.minimum is not None and inner.minimum >= outer.minimum)
    is_high = outer.maximum is None or (
        inner.maximum is not None and inner.maximum <= outer.maximum
    )
    return is_low and is_high


def _of_schemas(old: Any, new: Any) -> Iterator[tuple[Direction, str]]:
    """What can be said of JSON Schemas by their first level: required names, and types."""
    if old == new or not (isinstance(new, dict) or new is None):
        return
    before, after = old if isinstance(old, dict) else {}, new or {}
    for name in sorted(set(after.get("required", ())) - set(before.get("required", ()))):
        yield "backward", f"the schema requires '{name}' now"
    for name in sorted(set(before.get("required", ())) - set(after.get("required", ()))):
        yield "forward", f"the schema doesn't require '{name}' any more"
    types = before.get("properties", {}), after.get("properties", {})
    for name in sorted(types[0].keys() & types[1].keys()):
        was, is_now = (own[name].get("type") for own in types)
        if was != is_now:
            told = f"the schema says that '{name}' is {is_now}; it was {was}"
            yield from ((way, told) for way in BOTH)


def _of_limits(old: Profile, new: Profile) -> Iterator[tuple[Direction, str]]:
    pairs = (
        ("size", old.limits.size_bytes_max, new.limits.size_bytes_max),
        ("depth", old.limits.depth_max, new.limits.depth_max),
        ("values", old.limits.values_max, new.limits.values_max),
    )
    for name, before, after in pairs:
        if after < before:
            yield "backward", f"the limit '{name}' is {after} now; it was {before}"
