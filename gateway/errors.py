"""Every error that a caller can act on, in one tree.

Each message says what is wrong, where, and what would be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class PenstockError(Exception):
    """An error of ours: its text is fit to show to the person who runs the gateway."""


class Complaint(NamedTuple):
    """One thing that is wrong in a file that a person wrote."""

    path: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


class DocumentInvalid(PenstockError):
    """A file that a person wrote is wrong; carries every complaint, in file order."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        super().__init__("\n".join(str(complaint) for complaint in complaints))
        self.complaints = tuple(complaints)


class ExpressionInvalid(PenstockError):
    """An expression of the rule language can't be parsed, typed or resolved.

    `column` is the 1-based column inside the expression's own text.
    """

    def __init__(self, message: str, column: int = 1) -> None:
        super().__init__(message)
        self.column = column


class MqttError(PenstockError):
    """A client broke the MQTT specification; `reason_code` is the one that MQTT 5 has for it."""

    def __init__(self, message: str, reason_code: int) -> None:
        super().__init__(message)
        self.reason_code = reason_code


class MalformedPacket(MqttError):
    """A control packet can't be parsed according to the specification.

    Spec: MQTT5 §1.2 (Malformed Packet), §4.13.1
    """

    def __init__(self, message: str, reason_code: int = 0x81) -> None:
        super().__init__(message, reason_code)


class ProtocolError(MqttError):
    """A control packet was parsed, and is not allowed now or carries what the protocol forbids.

    Spec: MQTT5 §1.2 (Protocol Error), §4.13.1
    """

    def __init__(self, message: str, reason_code: int = 0x82) -> None:
        super().__init__(message, reason_code)


class StoreError(PenstockError):
    """The stream store could not do what it was asked; nothing was half done."""


class StoreUnavailable(StoreError):
    """The disk refused; the store reopens itself, and the call may be repeated."""


class StoreFull(StoreUnavailable):
    """There is no room for another batch; it may be repeated when space has returned."""


class StoreDamaged(StoreUnavailable):
    """The file is broken; whoever writes it sets it aside and goes on with what can be saved."""


class StoreInUse(StoreError):
    """Another gateway has this data directory open."""


class StoreNotWritable(StoreError):
    """The data directory can't be created or written."""


class StoreTooNew(StoreError):
    """A newer program wrote this data directory; nothing was touched."""


class UnknownStream(StoreError):
    """No stream of that name exists in this data directory."""


class StreamMismatch(StoreError):
    """A stream exists with another partition count than the one that is asked for."""


class StreamInvalid(StoreError):
    """A stream can't be created with that name, partition count or durability."""


class OffsetOutOfRange(StoreError):
    """An offset was removed by retention, or lies past the log end."""


class MemberFenced(StoreError):
    """A consumer's generation is over: its partitions belong to another member now."""


class GroupRefused(StoreError):
    """A consumer group can't be joined, moved or removed that way; the message says what can."""


class ChangeRefused(StoreError):
    """Somebody else changed a key meanwhile; nothing was written. Read again, and decide again."""


class RequestUnknown(StoreError):
    """Nobody here can do what was asked: no gateway runs, or it is another version."""
