"""The gateway's own streams beside those that are configured, and which topics each takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.config.device_streams import DEVICE_STREAMS
from gateway.config.loader import GatewayConfig
from gateway.devices import COMMANDS_STREAM, TWINS_STREAM
from gateway.routing import StreamRoute
from gateway.server import AUDIT_SPEC, PRESENCE_STREAM
from gateway.store import StreamSpec

ALERTS: Final = StreamSpec("alerts", partitions=1)
ALARMS: Final = StreamSpec("alarms", partitions=1)
DEAD_LETTERS: Final = StreamSpec("dead-letters", partitions=1)
TICKS: Final = StreamSpec("ticks", partitions=1)
PRESENCE: Final = StreamSpec(PRESENCE_STREAM, partitions=1)


def all_specs(config: GatewayConfig) -> Sequence[StreamSpec]:
    """Every stream that there is before the rules emit any."""
    own = (ALERTS, ALARMS, DEAD_LETTERS, TICKS, AUDIT_SPEC, PRESENCE)
    return [
        *(stream.spec for stream in config.streams),
        *own,
        *(stream.spec for stream in DEVICE_STREAMS),
    ]


def stream_routes(config: GatewayConfig) -> Sequence[StreamRoute]:
    """Where topics are stored: alerts first, so that a catch-all stream does not take them."""
    taken: list[tuple[StreamSpec, tuple[str, ...]]] = [
        (spec, (f"{spec.name}/#",)) for spec in (ALERTS, ALARMS, PRESENCE, AUDIT_SPEC)
    ]
    taken += [(one.spec, one.topic_filters) for one in DEVICE_STREAMS]
    taken += [(one.spec, one.topic_filters) for one in config.streams]
    return [StreamRoute(spec.name, filters, spec.partitions) for spec, filters in taken]


def rule_streams(config: GatewayConfig) -> Sequence[str]:
    """The streams that rules read, beside those that they emit."""
    own = (ALARMS.name, PRESENCE.name, TWINS_STREAM, COMMANDS_STREAM)
    return [*(stream.spec.name for stream in config.streams), *own]
