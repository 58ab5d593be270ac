"""The streams of what the gateway does for devices, and the topics that each of them takes."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.devices import COMMANDS_STREAM, OTA_STREAM, QUESTIONS_STREAM, TWINS_STREAM
from gateway.store import DAY_MS, StreamSpec

HISTORY_BYTES_MAX: Final = 256 << 20


class DeviceStream(NamedTuple):
    """A stream, and the filters of the topics that lie in it."""

    spec: StreamSpec
    topic_filters: tuple[str, ...]


DEVICE_STREAMS: Final = (
    # Nobody wants them later, and who asks often must cost no history.
    DeviceStream(
        StreamSpec(
            QUESTIONS_STREAM,
            partitions=1,
            durability="os",
            retention_age_ms=DAY_MS // 24,
            retention_bytes=64 << 20,
        ),
        ("twin/+/state", "twin/+/error", "twin/+/refused", "twin/+/get", "ota/+/get/+"),
    ),
    # As long as there is room: who asks how a twin was wants the change of then, however old.
    DeviceStream(
        StreamSpec(
            TWINS_STREAM, partitions=1, retention_age_ms=None, retention_bytes=HISTORY_BYTES_MAX
        ),
        ("twin/#",),
    ),
    DeviceStream(
        StreamSpec(COMMANDS_STREAM, partitions=1, retention_bytes=HISTORY_BYTES_MAX),
        ("command/#",),
    ),
    DeviceStream(
        StreamSpec(OTA_STREAM, partitions=1, retention_bytes=HISTORY_BYTES_MAX), ("ota/#",)
    ),
)
"""In the order in which they take topics."""
