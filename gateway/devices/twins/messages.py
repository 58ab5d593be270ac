"""What is said about twins: the payloads of their topics, and of the events in the stream."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import orjson

from gateway.devices.twins.patches import Document
from gateway.devices.twins.twin import Twin

TWINS_STREAM: Final = "twins"
QUESTIONS_STREAM: Final = "device-questions"
"""What devices ask for, and the answers."""

TwinPart = Literal["desired", "reported", "tags", "removed"]
PARTS: Final = frozenset({"desired", "reported", "tags", "removed"})
REQUEST_CHARS_MAX: Final = 256


class TwinEvent(NamedTuple):
    """One change of a twin as the stream `twins` has it: what changed, and all of that part then.

    Of `tags`, the version counts nothing; a twin that is `removed` begins anew.
    """

    part: TwinPart
    version: int
    patch: Document
    value: Document
    by: str
    time_ms: int

    def encode(self) -> bytes:
        return orjson.dumps(
            {
                "part": self.part,
                "version": self.version,
                "patch": self.patch,
                "value": self.value,
                "by": self.by,
                "time": self.time_ms,
            }
        )


def decode_event(payload: bytes) -> TwinEvent | None:
    """Read back an event; None for what is none."""
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    match found:
        case {
            "part": ("desired" | "reported" | "tags" | "removed") as part,
            "version": int(version),
            "patch": dict(patch),
            "value": dict(value),
            "by": str(by),
            "time": int(time_ms),
        }:
            return TwinEvent(part, version, patch, value, by, time_ms)
        case _:
            return None


def desired_payload(twin: Twin) -> bytes:
    """All that is wanted, as it is retained for the device."""
    return orjson.dumps({"version": twin.desired_version, "desired": twin.desired})


def delta_payload(twin: Twin, delta: Document) -> bytes:
    """What has changed of it."""
    return orjson.dumps({"version": twin.desired_version, "delta": delta})


def state_payload(twin: Twin, request: str) -> bytes:
    """The answer to a device that asks for its twin."""
    return orjson.dumps(
        {
            "request": request,
            "desired": twin.desired,
            "desired_version": twin.desired_version,
            "reported": twin.reported,
            "reported_version": twin.reported_version,
        }
    )


def error_payload(error: str, request: str, **more: Any) -> bytes:
    """Why something was refused; `request` is what was asked."""
    return orjson.dumps({"error": error, "request": request, **more})


def request_text(payload: bytes) -> str:
    """What a device sent with its question, as text that fits into the answer."""
    return payload.decode(errors="replace")[:REQUEST_CHARS_MAX]
