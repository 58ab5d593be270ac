"""Enrolment groups: who may become a device without anybody registering it by hand.

A group vouches for new devices: by a claim key that they show once, by tokens that a service signs,
or by an authority that signs their certificates. What a group vouches for are ids that fit its
pattern and that nobody else has registered; so whoever steals what a group gives away can't become
a device that is there already.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from gateway.devices.credentials import KEY_CHARACTERS_LEAST
from gateway.devices.registry import (
    DEVICE_ROLE,
    KEYS_MAX,
    Device,
    DeviceInvalid,
    Key,
    Registry,
    check_device,
    check_device_id,
)
from gateway.errors import PenstockError

GROUPS_TABLE = "enrolment"
GroupKind = Literal["claim", "token", "authority"]
Approval = Literal["auto", "manual"]
GroupStatus = Literal["active", "revoked"]
GROUP_KINDS: tuple[GroupKind, ...] = ("claim", "token", "authority")
APPROVALS: tuple[Approval, ...] = ("auto", "manual")
PATTERN_CHARACTERS_MAX = 256
PER_MINUTE_MAX = 60_000
DEVICES_MAX = 10_000_000
# What a group's key signs with is not what it is recognised by: neither tells the other.
SIGNING_LABEL = b"penstock-token"


class GroupKey(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a group's key: its SHA-256, and, to check tokens, what it signs with."""

    sha256: bytes
    signing: bytes = b""
    created_ms: int = 0

    @property
    def name(self) -> str:
        """How people tell keys apart; it says nothing about the key itself."""
        return self.sha256[:4].hex()

    @property
    def key(self) -> Key:
        """The part that it is recognised by."""
        return Key(self.sha256, self.created_ms)


class EnrolmentGroup(msgspec.Struct, frozen=True, omit_defaults=True):
    """One group, as it lies in the table `enrolment`.

    `pattern` is matched as those of file names are. New devices get `role`, `profile` and `tags`;
    there are `devices_max` of them at most, and `per_minute` in a minute. After `expires_ms` (0:
    never) it takes no new ones, and once it is revoked it vouches for nobody any more.
    `authorities` are the SHA-256 of certificates.
    """

    id: str
    kind: GroupKind
    pattern: str
    approve: Approval = "auto"
    status: GroupStatus = "active"
    role: str = DEVICE_ROLE
    profile: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    keys: tuple[GroupKey, ...] = ()
    authorities: tuple[bytes, ...] = ()
    devices_max: int = 1_000
    per_minute: int = 600
    expires_ms: int = 0
    generation: int = 1
    created_ms: int = 0
    changed_ms: int = 0

    def fits(self, device_id: str) -> bool:
        """Whether the pattern takes an id."""
        return fnmatchcase(device_id, self.pattern)


ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(EnrolmentGroup)


class EnrolmentRefused(PenstockError):
    """A group does not vouch for an id; the message says why."""


def encode_group(group: EnrolmentGroup) -> bytes:
    """A group as the table keeps it."""
    return ENCODER.encode(group)


def decode_group(encoded: bytes) -> EnrolmentGroup:
    """Read back what `encode_group` made.

    Raises:
        DeviceInvalid: it is something else.
    """
    try:
        return DECODER.decode(encoded)
    except msgspec.DecodeError as error:
        raise DeviceInvalid(f"an enrolment group can't be read: {error}") from error


def check_group(group: EnrolmentGroup) -> None:
    """See that a group is one that may be.

    Raises:
        DeviceInvalid: it isn't; says what is wrong.
    """
    check_device_id(group.id)
    check_device(Device(group.id, role=group.role, profile=group.profile, tags=group.tags))
    pattern = group.pattern
    if not 0 < len(pattern) <= PATTERN_CHARACTERS_MAX or not pattern.isprintable():
        raise DeviceInvalid(f"{group.id}: a pattern is such as 'pump-*'")
    if any(sign in pattern for sign in "/+#"):
        raise DeviceInvalid(f"{group.id}: no id fits '{pattern}': ids have no / + #")
    if not 0 < group.devices_max <= DEVICES_MAX:
        raise DeviceInvalid(f"{group.id}: a group has 1 to {DEVICES_MAX:,} devices")
    if not 0 < group.per_minute <= PER_MINUTE_MAX:
        raise DeviceInvalid(f"{group.id}: 1 to {PER_MINUTE_MAX:,} devices may come in a minute")
    shown = group.authorities if group.kind == "authority" else group.keys
    if not 0 < len(shown) <= KEYS_MAX:
        what = "certificate of an authority" if group.kind == "authority" else "key"
        raise DeviceInvalid(f"{group.id}: a group has one {what}, or {KEYS_MAX} while it changes")


def group_key(secret: str, kind: GroupKind, now_ms: int) -> GroupKey:
    """What is kept of a group's key.

    Raises:
        DeviceInvalid: it is too short to be anything but a password.
    """
    if len(secret) < KEY_CHARACTERS_LEAST:
        raise DeviceInvalid(f"a key has at least {KEY_CHARACTERS_LEAST} characters, made by chance")
    raw = secret.encode()
    signing = signing_key(raw) if kind == "token" else b""
    return GroupKey(hashlib.sha256(raw).digest(), signing, now_ms)


def signing_key(secret: bytes) -> bytes:
    """What a group's key signs tokens with."""
    return hmac.digest(secret, SIGNING_LABEL, "sha256")


class GroupBook:
    """Every enrolment group, by name."""

    def __init__(self) -> None:
        self._groups: dict[str, EnrolmentGroup] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[EnrolmentGroup]:
        return iter(self._groups.values())

    def get(self, name: str) -> EnrolmentGroup | None:
        """One group."""
        return self._groups.get(name)

    def put(self, name: str, encoded: bytes | None) -> None:
        """Take a group as it is in the table from now on; None when it is gone.

        Raises:
            DeviceInvalid: it can't be read; nothing has changed.
        """
        if encoded is None:
            self._groups.pop(name, None)
        else:
            self._groups[name] = decode_group(encoded)

    def of_authorities(self, fingerprints: Iterable[bytes]) -> EnrolmentGroup | None:
        """The group of which one of these certificates is an authority, revoked or not."""
        if not self._groups:
            return None
        wanted = set(fingerprints)
        return next((one for one in self if wanted.intersection(one.authorities)), None)


def check_vouched(group: EnrolmentGroup, device_id: str) -> None:
    """See that a group may speak for an id at all, whether or not it is registered.

    Raises:
        EnrolmentRefused: it may not.
    """
    if group.status != "active":
        raise EnrolmentRefused(f"the group '{group.id}' was revoked")
    if not group.fits(device_id):
        raise EnrolmentRefused(f"the group '{group.id}' is for ids such as '{group.pattern}'")


def check_newcomer(
    group: EnrolmentGroup, device_id: str, registry: Registry, now_ms: int
) -> Device | None:
    """See that a group may make an id known; returns the entry that it has made of it already.

    An id that is there counts as new while it is the group's own and nobody has come in as it.

    Raises:
        EnrolmentRefused: it may not.
    """
    check_vouched(group, device_id)
    if group.expires_ms and now_ms >= group.expires_ms:
        raise EnrolmentRefused(f"the group '{group.id}' takes no more devices: its time is over")
    before = registry.get(device_id)
    if before is not None:
        if before.group != group.id or not before.is_unused:
            raise EnrolmentRefused(f"'{device_id}' is registered already")
        if before.status == "disabled":
            raise EnrolmentRefused(f"'{device_id}' was denied")
        return before
    try:
        check_device_id(device_id)
    except DeviceInvalid as error:
        raise EnrolmentRefused(str(error)) from error
    if registry.count_of(group.id) >= group.devices_max:
        most = group.devices_max
        raise EnrolmentRefused(f"the group '{group.id}' has {most} devices, as many as it may have")
    return None


def newcomer(group: EnrolmentGroup, device_id: str, now_ms: int) -> Device:
    """The entry of a device that a group makes known; without a key so far."""
    return Device(
        device_id,
        status="active" if group.approve == "auto" else "pending",
        role=group.role,
        profile=group.profile,
        tags=group.tags,
        has_certificate=group.kind == "authority",
        created_ms=now_ms,
        changed_ms=now_ms,
        group=group.id,
        is_unused=group.kind == "claim",
    )


def with_only_key(device: Device, key: Key, now_ms: int) -> Device:
    """An entry with a key instead of what keys it had."""
    return msgspec.structs.replace(
        device, keys=(key,), generation=device.generation + 1, changed_ms=now_ms
    )


def used(device: Device, now_ms: int) -> Device:
    """An entry of which somebody has come in as the device: no group gives it away any more."""
    return msgspec.structs.replace(
        device, is_unused=False, generation=device.generation + 1, changed_ms=now_ms
    )


def rotated_keys(keys: Sequence[GroupKey], key: GroupKey) -> tuple[GroupKey, ...]:
    """The keys of a group when one more is made: the newest of the others stays valid."""
    return (*keys[-1:], key)
