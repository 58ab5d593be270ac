"""Every figure of a gateway at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.metrics.counters import Counters


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a gateway; `counters` are the live ones, which go on growing.

    `stored` are the events in the log, `stored_bytes` what they take on disk. `lag` is how many
    events the slowest subscriber that is connected has still to read. None is what can't be known
    on this machine or with this store.
    """

    counters: Counters
    uptime_s: int
    clients_connected: int
    clients_disconnected: int
    connections: int
    subscriptions: int
    shared_subscriptions: int
    retained: int
    retained_bytes: int
    publishes_sent: int
    deliveries_dropped: int
    accepted: int
    refused: int
    repeated: int
    uncommitted_bytes: int
    commit_ms: float
    commit_ms_max: float
    is_failing: bool
    lag: int
    throttled: int
    failures: int
    connections_refused: int
    handshakes_refused: int
    handshakes_failed: int
    stored: int | None = None
    stored_bytes: int | None = None
    memory_bytes: int | None = None
    memory_bytes_max: int | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    """Figures of what works on the log beside the server, by name."""

    @property
    def packets_sent(self) -> int:
        """Control packets of every kind that clients were sent."""
        return self.publishes_sent + self.counters.answers_sent
