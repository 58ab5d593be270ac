"""What the MQTT server may take from its clients, and where it listens."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.routing import RetainedLimits
from gateway.session import SessionOptions


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """One address that accepts MQTT over TCP; port 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: int = 1883


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Limits over all clients together, and of what one may hold up."""

    listeners: tuple[ListenerOptions, ...] = (ListenerOptions(),)
    session: SessionOptions = field(default_factory=SessionOptions)
    retained: RetainedLimits = field(default_factory=RetainedLimits)
    connections_max: int = 20_000
    sessions_max: int = 100_000
    connect_within_ms: int = 10_000
    packet_within_ms: int = 10_000
    uncommitted_bytes_max: int = 32 << 20
    outbox_bytes_max: int = 4 << 20
    refuse_after_ms: int = 10_000
    shared_order: str = "ordered"
    repeat_window_ms: int = 300_000
    backlog: int = 4_096
