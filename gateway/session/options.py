"""What one session may ask of the gateway; the limits that the CONNACK of MQTT 5 announces."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Limits of one client; every one has a default that suits an edge box."""

    packet_bytes_max: int = 1 << 20
    receive_maximum: int = 1_000
    in_flight_max: int = 1_000
    subscriptions_max: int = 1_000
    topic_alias_maximum: int = 100
    topic_alias_bytes_max: int = 64 << 10
    topic_levels_max: int = 200
    client_id_bytes_max: int = 256
    keep_alive_s_max: int = 60
    session_expiry_ms_max: int = 7 * 86_400_000
