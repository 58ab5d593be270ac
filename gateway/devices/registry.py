"""Who the devices are: one entry each, as it lies in the table `devices` and in memory.

An entry stays encoded in memory: 50,000 of them take some megabytes, and one is decoded in a few
microseconds when its device connects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from gateway.errors import PenstockError

DEVICES_TABLE = "devices"
DEVICE_ROLE = "device"
Status = Literal["active", "disabled", "pending"]
Beyond = Literal["slow", "drop", "refuse"]
"""What becomes of what exceeds a quota: read later, dropped at QoS 0, or refused with 0x97."""
STATUSES = ("active", "disabled", "pending")
ID_BYTES_MAX = 128
TAGS_MAX = 64
TEXT_BYTES_MAX = 256
KEYS_MAX = 2


class DeviceInvalid(PenstockError):
    """An entry of the registry can't be so; the message says what it may be."""


class Key(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of one key: its SHA-256, and when it was made."""

    sha256: bytes
    created_ms: int = 0

    @property
    def name(self) -> str:
        """How people tell keys apart; it says nothing about the key itself."""
        return self.sha256[:4].hex()


class DeviceQuota(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much a device may publish by all its clients, and how many of these it may have.

    What is None is decided elsewhere; a rate of 0 is no limit.
    """

    messages_per_s: int | None = None
    bytes_per_s: int | None = None
    connections_max: int | None = None
    beyond: Beyond | None = None

    def over(self, other: DeviceQuota) -> DeviceQuota:
        """This quota, and where it says nothing what the other says."""
        return DeviceQuota(
            *(
                theirs if own is None else own
                for own, theirs in zip(
                    msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True
                )
            )
        )


NO_QUOTA = DeviceQuota()


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry: a device, or a person or service that connects as one.

    `generation` counts the changes of the entry. `role` says what it may do. `group` is the
    enrolment group that vouches for it; as long as it `is_unused`, nobody has come in as the device
    by what the group gave it.
    """

    id: str
    status: Status = "active"
    role: str = DEVICE_ROLE
    profile: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    keys: tuple[Key, ...] = ()
    password: str = ""
    has_certificate: bool = False
    generation: int = 1
    created_ms: int = 0
    changed_ms: int = 0
    group: str = ""
    is_unused: bool = False
    quota: DeviceQuota = NO_QUOTA

    @property
    def has_credentials(self) -> bool:
        """Whether anybody can prove to be it."""
        return bool(self.keys or self.password or self.has_certificate)


ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(Device)


def encode_device(device: Device) -> bytes:
    """An entry as the table keeps it."""
    return ENCODER.encode(device)


def decode_device(encoded: bytes) -> Device:
    """Read back what `encode_device` made.

    Raises:
        DeviceInvalid: it is something else.
    """
    try:
        return DECODER.decode(encoded)
    except msgspec.DecodeError as error:
        raise DeviceInvalid(f"an entry of the registry can't be read: {error}") from error


def check_device(device: Device) -> None:
    """See that an entry is one that may be.

    Raises:
        DeviceInvalid: it isn't; says what is wrong.
    """
    check_device_id(device.id)
    if len(device.tags) > TAGS_MAX:
        raise DeviceInvalid(f"{device.id}: {len(device.tags)} tags; at most {TAGS_MAX}")
    texts = [*device.tags.items(), ("profile", device.profile), ("role", device.role)]
    texts += [("group", device.group)]
    for name, text in texts:
        if (
            not name
            or not (name + text).isprintable()
            or len((name + text).encode()) > TEXT_BYTES_MAX
        ):
            raise DeviceInvalid(
                f"{device.id}: {name!r}: {text[:40]!r} won't do; use printable characters, at most "
                f"{TEXT_BYTES_MAX} bytes of name and text"
            )
    if len(device.keys) > KEYS_MAX:
        raise DeviceInvalid(f"{device.id}: {len(device.keys)} keys; at most {KEYS_MAX}")


def check_device_id(device_id: str) -> None:
    """See that a text can be a device's id: one level of a topic.

    Raises:
        DeviceInvalid: it can't.
    """
    is_level = not any(sign in device_id for sign in "/+#") and not device_id.startswith("$")
    is_short = 0 < len(device_id.encode(errors="replace")) <= ID_BYTES_MAX
    if not (is_level and is_short and device_id.isprintable()) or device_id != device_id.strip():
        raise DeviceInvalid(
            f"{device_id[:40]!r} can't be a device id: it is one level of a topic, so 1 to "
            f"{ID_BYTES_MAX} bytes without / + #, and does not begin with $"
        )


class Registry:
    """Every entry, by id."""

    def __init__(self, encoded: Mapping[str, bytes] | None = None) -> None:
        self._encoded: dict[str, bytes] = {}
        self._with_credentials: set[str] = set()
        self._group_by_device: dict[str, str] = {}
        self._counts_by_group: dict[str, int] = {}
        for device_id, entry in (encoded or {}).items():
            self.put(device_id, entry)

    def __len__(self) -> int:
        return len(self._encoded)

    def __iter__(self) -> Iterator[Device]:
        for encoded in self._encoded.values():
            yield decode_device(encoded)

    def __contains__(self, device_id: str) -> bool:
        return device_id in self._encoded

    @property
    def has_credentials(self) -> bool:
        """Whether anybody in it can prove who it is."""
        return bool(self._with_credentials)

    def get(self, device_id: str) -> Device | None:
        """The entry of a device; None when there is none."""
        encoded = self._encoded.get(device_id)
        return None if encoded is None else decode_device(encoded)

    def encoded(self, device_id: str) -> bytes | None:
        """The entry as the table has it: what a change expects to find."""
        return self._encoded.get(device_id)

    def count_of(self, group: str) -> int:
        """How many devices an enrolment group vouches for."""
        return self._counts_by_group.get(group, 0)

    def put(self, device_id: str, encoded: bytes | None) -> None:
        """Take an entry as it is in the table from now on; None when it is gone.

        Raises:
            DeviceInvalid: it can't be read; nothing has changed.
        """
        if encoded is None:
            self._encoded.pop(device_id, None)
            self._with_credentials.discard(device_id)
            self._assign(device_id, "")
            return
        device = decode_device(encoded)
        self._encoded[device_id] = encoded
        self._assign(device_id, device.group)
        if device.has_credentials:
            self._with_credentials.add(device_id)
        else:
            self._with_credentials.discard(device_id)

    def _assign(self, device_id: str, group: str) -> None:
        before = self._group_by_device.pop(device_id, "")
        if before:
            self._counts_by_group[before] -= 1
        if group:
            self._group_by_device[device_id] = group
            self._counts_by_group[group] = self._counts_by_group.get(group, 0) + 1
