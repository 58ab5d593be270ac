"""A mosquitto.conf in our words, as far as there are any."""

from __future__ import annotations

from pathlib import Path

# What needs no counterpart: we do so anyway, or it says how Mosquitto keeps or shows something.
WITHOUT_EFFECT = frozenset(
    {
        "persistence",
        "persistence_file",
        "persistence_location",
        "autosave_interval",
        "per_listener_settings",
        "log_type",
        "log_dest",
        "log_timestamp",
        "connection_messages",
        "max_queued_messages",
        "max_queued_bytes",
        "max_inflight_bytes",
        "max_connections",
    }
)
LIMITS = {
    "max_inflight_messages": ("in_flight", "receive_maximum"),
    "max_packet_size": ("packet_size",),
    "max_keepalive": ("keep_alive",),
}
PACKET_BYTES_LEAST = 32_768


class NotOurs(Exception):
    """The configuration sets what only Mosquitto has; says what."""


def settings_of(conf: Path) -> tuple[list[int], dict[str, str], str | None]:
    """The ports, our limits, and the file that a persistent server keeps its state in.

    Raises:
        NotOurs: it sets something that we have no counterpart for.
    """
    ports: list[int] = []
    limits: dict[str, str] = {}
    options: dict[str, str] = {}
    for line in conf.read_text().splitlines():
        name, _, value = line.strip().partition(" ")
        if not name or name.startswith("#"):
            continue
        options[name] = value
        if name in ("port", "listener"):
            ports.append(int(value.split()[0]))
        elif name in LIMITS:
            unit = "s" if name == "max_keepalive" else ""
            limits |= dict.fromkeys(LIMITS[name], value + unit)
        elif name not in WITHOUT_EFFECT and (name, value) != ("allow_anonymous", "true"):
            raise NotOurs(f"{name} {value}")
    if int(limits.get("packet_size", PACKET_BYTES_LEAST)) < PACKET_BYTES_LEAST:
        raise NotOurs(f"max_packet_size {limits['packet_size']}")
    kept = options.get("persistence") == "true"
    return ports, limits, options.get("persistence_file", "mosquitto.db") if kept else None
