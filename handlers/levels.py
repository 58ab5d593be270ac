"""Levels in metres, from devices that measure centimetres.

A handler is a function that the gateway calls for each event that it is for; what it returns is
published. docs/handlers.md says the rest. Name it in config/gateway.yaml to set it to work.
"""

from __future__ import annotations

from gateway.functions import Event, Publish

__version__ = "1.0"
CM_PER_M = 100


def to_metres(event: Event) -> Publish | None:
    """Publish the level in metres; events without a level are no concern of ours."""
    if not isinstance(event.payload, dict) or "cm" not in event.payload:
        return None
    return Publish(f"metres/{event.device}", {"m": event.payload["cm"] / CM_PER_M})
