"""An event on its way through the rules, and what expressions may read of it."""

from __future__ import annotations

from gateway.rules.values import Value

ScopeMap = dict[str, object]
Event = tuple[int, int, str, str, bytes, Value]
"""Event time, arrival time, topic, device, payload as it came, payload decoded."""


def names_of_event(event: Event) -> ScopeMap:
    """What expressions may read of an event."""
    time_ms, arrival_ms, topic, device, _, payload = event
    return {
        "payload": payload,
        "topic": topic,
        "device": device,
        "ts": time_ms,
        "arrival": arrival_ms,
    }
