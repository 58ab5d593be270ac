"""Which figure stands under which topic of `$SYS`, and how it is written.

The names that Mosquitto has are Mosquitto's; what it has not is below `penstock/`.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway import __version__
from gateway.metrics import MINUTES, LoadAverages, Reading

ROOT = "$SYS/broker/"
VERSION = f"penstock version {__version__}"

Figure = int | float | str | None


FIGURES: dict[str, Callable[[Reading], Figure]] = {
    "version": lambda _: VERSION,
    "uptime": lambda now: f"{now.uptime_s} seconds",
    "clients/connected": lambda now: now.clients_connected,
    "clients/disconnected": lambda now: now.clients_disconnected,
    "clients/total": lambda now: now.clients_connected + now.clients_disconnected,
    "clients/maximum": lambda now: now.counters.clients_maximum,
    "clients/expired": lambda now: now.counters.sessions_expired,
    "messages/received": lambda now: now.counters.packets_received,
    "messages/sent": lambda now: now.packets_sent,
    "messages/stored": lambda now: now.stored,
    "publish/messages/received": lambda now: now.counters.publishes_received,
    "publish/messages/sent": lambda now: now.publishes_sent,
    "publish/messages/dropped": lambda now: now.deliveries_dropped + now.counters.quota_dropped,
    "publish/bytes/received": lambda now: now.counters.publish_bytes_received,
    "publish/bytes/sent": lambda now: now.counters.publish_bytes_sent,
    "bytes/received": lambda now: now.counters.bytes_received,
    "bytes/sent": lambda now: now.counters.bytes_sent,
    "subscriptions/count": lambda now: now.subscriptions,
    "shared_subscriptions/count": lambda now: now.shared_subscriptions,
    "retained messages/count": lambda now: now.retained,
    "store/messages/count": lambda now: now.stored,
    "store/messages/bytes": lambda now: now.stored_bytes,
    "heap/current size": lambda now: now.memory_bytes,
    "heap/maximum size": lambda now: now.memory_bytes_max,
    "penstock/connections": lambda now: now.connections,
    "penstock/clients/refused": lambda now: now.counters.clients_refused,
    "penstock/clients/failed": lambda now: now.failures,
    "penstock/clients/throttled": lambda now: now.throttled,
    "penstock/clients/takeovers": lambda now: now.counters.takeovers,
    "penstock/connections/refused": lambda now: now.connections_refused,
    "penstock/handshakes/refused": lambda now: now.handshakes_refused,
    "penstock/handshakes/failed": lambda now: now.handshakes_failed,
    "penstock/events/accepted": lambda now: now.accepted,
    "penstock/events/refused": lambda now: now.refused,
    "penstock/events/repeated": lambda now: now.repeated,
    "penstock/quota/throttles": lambda now: now.counters.throttles,
    "penstock/quota/refused": lambda now: now.counters.quota_refused,
    "penstock/quota/dropped": lambda now: now.counters.quota_dropped,
    "penstock/retained/bytes": lambda now: now.retained_bytes,
    "penstock/uncommitted/bytes": lambda now: now.uncommitted_bytes,
    "penstock/commits": lambda now: now.counters.commits,
    "penstock/commit/ms": lambda now: round(now.commit_ms, 3),
    "penstock/commit/ms/maximum": lambda now: round(now.commit_ms_max, 3),
    "penstock/store/failing": lambda now: int(now.is_failing),
    "penstock/lag/maximum": lambda now: now.lag,
}

LOADS: dict[str, Callable[[Reading], int]] = {
    "messages/received": lambda now: now.counters.packets_received,
    "messages/sent": lambda now: now.packets_sent,
    "publish/dropped": lambda now: now.deliveries_dropped + now.counters.quota_dropped,
    "publish/received": lambda now: now.counters.publishes_received,
    "publish/sent": lambda now: now.publishes_sent,
    "bytes/received": lambda now: now.counters.bytes_received,
    "bytes/sent": lambda now: now.counters.bytes_sent,
    "sockets": lambda now: now.counters.connections_opened,
    "connections": lambda now: now.counters.clients_accepted,
}


class SysTopics:
    """Writes readings as topics and payloads; `load` is remembered from one to the next."""

    def __init__(self) -> None:
        self._loads = {name: LoadAverages() for name in LOADS}

    def write(self, reading: Reading, elapsed_ms: int) -> dict[str, bytes]:
        """Every topic with its payload, `elapsed_ms` after the last reading.

        What is not known has no topic.
        """
        payloads: dict[str, bytes] = {}
        for name, figure_of in FIGURES.items():
            figure = figure_of(reading)
            if figure is not None:
                payloads[ROOT + name] = str(figure).encode()
        for name, figure in reading.others.items():
            payloads[f"{ROOT}penstock/{name}"] = str(figure).encode()
        for name, total_of in LOADS.items():
            load = self._loads[name]
            load.take(total_of(reading), elapsed_ms)
            for minutes, average in zip(MINUTES, load.per_minute, strict=True):
                payloads[f"{ROOT}load/{name}/{minutes}min"] = f"{average:.2f}".encode()
        return payloads
