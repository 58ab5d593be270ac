"""What ends a load before its time."""

from __future__ import annotations

from gateway.errors import PenstockError


class LoadFailed(PenstockError):
    """The server closed a connection, refused one, or answered with what MQTT does not allow."""
