"""One device's twin: what is wanted of it, what it says of itself, and what it was told last.

A change makes a new twin, so nothing is half done. Versions count the changes of each side. While
nobody listens for the device, `told` keeps what was wanted when somebody last did: what has changed
since then is told as one.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from gateway.devices.twins.patches import (
    Document,
    DocumentRefused,
    check_document,
    difference,
    merged,
)
from gateway.errors import PenstockError

TWINS_TABLE: Final = "twins"
VERSION_KEY: Final = "$version"
Side = Literal["desired", "reported"]


class TwinConflict(PenstockError):
    """A twin has another version than the one that a change is meant for."""


class Twin(msgspec.Struct, frozen=True, omit_defaults=True):
    """A twin as the table keeps it; `told` is None when the device was told everything."""

    desired: Document = msgspec.field(default_factory=dict)
    reported: Document = msgspec.field(default_factory=dict)
    desired_version: int = 0
    reported_version: int = 0
    desired_ms: int = 0
    reported_ms: int = 0
    told: Document | None = None

    @property
    def etag(self) -> str:
        """What changes whenever either side does."""
        return f"{self.desired_version}.{self.reported_version}"


class TwinChange(NamedTuple):
    """A twin after a change, and the patch that it came to; empty when nothing changed."""

    twin: Twin
    patch: Document


ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(Twin)


def encode_twin(twin: Twin) -> bytes:
    """A twin as the table keeps it."""
    return ENCODER.encode(twin)


def decode_twin(encoded: bytes | None) -> Twin:
    """Read back what `encode_twin` made; a device that has none has an empty one.

    Raises:
        DocumentRefused: it is something else.
    """
    if encoded is None:
        return Twin()
    try:
        return DECODER.decode(encoded)
    except msgspec.DecodeError as error:
        raise DocumentRefused(f"the twin can't be read: {error}") from error


def changed(
    twin: Twin, side: Side, patch: Document, now_ms: int, if_version: int | None = None
) -> TwinChange:
    """Apply a merge patch to one side; in the patch, `$version` asks for a version as well.

    Raises:
        TwinConflict: the side has another version.
        DocumentRefused: the patch, or what it makes, is beyond a limit.
    """
    wanted = dict(patch)
    version = twin.desired_version if side == "desired" else twin.reported_version
    for asked in (if_version, wanted.pop(VERSION_KEY, None)):
        _check_version(side, asked, version)
    # Before it is applied, so that what it nests is within bounds.
    check_document(wanted, "the patch")
    before = twin.desired if side == "desired" else twin.reported
    after = merged(before, wanted)
    check_document(after, f"what is {side}")
    effect = difference(before, after)
    if not effect:
        return TwinChange(twin, {})
    if side == "reported":
        new = msgspec.structs.replace(
            twin, reported=after, reported_version=version + 1, reported_ms=now_ms
        )
    else:
        told = before if twin.told is None else twin.told
        new = msgspec.structs.replace(
            twin, desired=after, desired_version=version + 1, desired_ms=now_ms, told=told
        )
    return TwinChange(new, effect)


def _check_version(side: Side, asked: Any, version: int) -> None:
    if asked is None or (type(asked) is int and asked == version):
        return
    if type(asked) is not int:
        raise DocumentRefused(f"{VERSION_KEY} is a whole number, such as {version}")
    raise TwinConflict(f"what is {side} has version {version}, not {asked}")


def told_of(twin: Twin) -> TwinChange:
    """The twin once its device has been told, and what there was to tell; empty if nothing."""
    if twin.told is None:
        return TwinChange(twin, {})
    delta = difference(twin.told, twin.desired)
    return TwinChange(msgspec.structs.replace(twin, told=None), delta)
