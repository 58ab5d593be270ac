"""What a profile says, checked; from YAML it comes through `gateway.devices.profiles.loader`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.devices.decoders.frame_layout import Part
from gateway.devices.decoders.limits import DecodeLimits
from gateway.devices.registry import NO_QUOTA, DeviceQuota
from gateway.devices.reports import ReportPolicy, SequenceField
from gateway.devices.topics import TopicTemplate

Format = Literal["json", "cbor", "messagepack", "protobuf", "number", "text", "csv", "frame"]
FieldType = Literal["number", "integer", "text", "boolean", "any"]
TimeUnit = Literal["s", "ms", "us", "ns", "iso"]
Undecodables = Literal["dead-letter", "reject", "ignore"]
Invalids = Literal["tag", "dead-letter", "reject", "ignore"]

INVALID_FIELD: Final = "_invalid"
"""The field in which a decoded payload says what is wrong with it, where `invalid: tag`."""

TIME_FIELD: Final = "time_ms"
"""The field in which a decoded payload has the time of its time field, in milliseconds."""


@dataclass(frozen=True, slots=True)
class PayloadSpec:
    """The format of a payload, with what only some formats need.

    `name` is the field that a bare number or text becomes; `columns` and `separator` are of CSV,
    `layout` of frames, `message` and `descriptor` of Protobuf.
    """

    format: Format = "json"
    name: str = ""
    columns: tuple[str, ...] = ()
    separator: str = ","
    layout: tuple[Part, ...] = ()
    message: str = ""
    descriptor: bytes = b""

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of all fields that the format itself makes known; None when any may come."""
        if self.format == "csv":
            return tuple(column for column in self.columns if column != "-")
        if self.format == "frame":
            return tuple(_names(self.layout))
        if self.format in ("number", "text"):
            return (self.name,) if self.name else ()
        return None


def _names(parts: tuple[Part, ...]) -> list[str]:
    found: list[str] = []
    for part in parts:
        found += [part.name] if part.name else []
        found += [bits.name for bits in part.bits]
    return found


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field: where it comes from, what it must be, and how it becomes a value in its unit.

    What rules see is `source * scale + offset`; `minimum` and `maximum` hold for that.
    """

    name: str
    source: tuple[str, ...]
    type: FieldType = "any"
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    scale: float = 1
    offset: float = 0
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class TimeField:
    """The field that says when something was measured, and its unit."""

    name: str
    unit: TimeUnit = "ms"


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of device, as far as one kind of its messages goes.

    A profile without topics is a base of others. `schema` is a JSON Schema of the payload as it
    was sent. Larger payloads than `claim_bytes` are kept beside the log.
    """

    name: str
    title: str = ""
    topics: tuple[TopicTemplate, ...] = ()
    payload: PayloadSpec = field(default_factory=PayloadSpec)
    fields: tuple[FieldSpec, ...] = ()
    time: TimeField | None = None
    schema: Any = None
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    undecodable: Undecodables = "dead-letter"
    invalid: Invalids = "tag"
    claim_bytes: int | None = None
    quota: DeviceQuota = NO_QUOTA
    sequence: SequenceField | None = None
    report: ReportPolicy | None = None
    path: str = ""

    @property
    def checks_on_ingest(self) -> bool:
        """Whether a payload is decoded before it is stored, because it may be refused."""
        return "reject" in (self.undecodable, self.invalid)

    @property
    def is_watched(self) -> bool:
        """Whether gaps and silence of its devices are told."""
        return self.sequence is not None or self.report is not None

    @property
    def is_inspected(self) -> bool:
        """Whether payloads that are wrong are copied to the dead letters."""
        return "dead-letter" in (self.undecodable, self.invalid)
