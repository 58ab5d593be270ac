"""What the MQTT server may take from its clients, and where it listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gateway.routing import RetainedLimits
from gateway.server.access_options import AccessOptions
from gateway.session import SessionOptions

Kind = Literal["mqtt", "ws"]
ClientCertificates = Literal["none", "optional", "required"]
BeyondRate = Literal["slow", "refuse", "drop"]


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """The files of a TLS listener, all in PEM format, and what it asks of its clients."""

    certificate: Path
    key: Path
    ca: Path | None = None
    client_certificates: ClientCertificates = "none"
    crl: Path | None = None

    def paths(self) -> list[Path]:
        """Every file, in a fixed order."""
        return [path for path in (self.certificate, self.key, self.ca, self.crl) if path]


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """One address that accepts MQTT; port 0 lets the system choose.

    `path` and `origins` are for WebSocket: where MQTT is, and whose web pages may connect.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    kind: Kind = "mqtt"
    path: str = "/mqtt"
    origins: tuple[str, ...] = ()
    tls: TlsOptions | None = None
    proxy_protocol: bool = False

    @property
    def asks_who(self) -> bool:
        """Whether nobody gets in without showing who it is."""
        return self.tls is not None and self.tls.client_certificates == "required"


@dataclass(frozen=True, slots=True)
class QuotaOptions:
    """How much one client may publish; a rate of 0 is no limit.

    `burst_ms` is how long a client may save up what it doesn't use. `beyond` says what happens to
    the rest: it is not read (`slow`), refused (`refuse`), or, at QoS 0, dropped (`drop`).
    """

    messages_per_s: int = 0
    bytes_per_s: int = 0
    burst_ms: int = 2_000
    beyond: BeyondRate = "slow"


@dataclass(frozen=True, slots=True)
class FlappingOptions:
    """When clients that fight over one identifier are told, and slowed down.

    Beyond `takeovers_max` within `within_ms`, a newcomer waits for `delay_ms`; between different
    hosts each counts twice.
    """

    takeovers_max: int = 20
    within_ms: int = 60_000
    delay_ms: int = 5_000


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Limits over all clients together, and of what one may hold up."""

    listeners: tuple[ListenerOptions, ...] = (ListenerOptions(),)
    session: SessionOptions = field(default_factory=SessionOptions)
    retained: RetainedLimits = field(default_factory=RetainedLimits)
    connections_max: int = 20_000
    connects_per_s_max: int = 5_000
    handshakes_max: int = 500
    sessions_max: int = 100_000
    connect_within_ms: int = 10_000
    packet_within_ms: int = 10_000
    uncommitted_bytes_max: int = 32 << 20
    outbox_bytes_max: int = 4 << 20
    refuse_after_ms: int = 10_000
    shared_order: str = "ordered"
    repeat_window_ms: int = 300_000
    repeat_windows_ms: Mapping[str, int] = field(default_factory=dict)
    connections_per_address_max: int = 0
    quota: QuotaOptions = field(default_factory=QuotaOptions)
    flapping: FlappingOptions = field(default_factory=FlappingOptions)
    access: AccessOptions = field(default_factory=AccessOptions)
    sys_interval_ms: int = 10_000
    backlog: int = 4_096
