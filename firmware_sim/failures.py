"""What the simulator itself reports to the person who runs it."""

from __future__ import annotations

from gateway.errors import PenstockError


class SimulationFailed(PenstockError):
    """A run, a replay or a demo could not be carried out."""


class ServerAbsent(SimulationFailed):
    """No MQTT server answers at the address that was given."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(
            f"no MQTT server at {host}:{port}: {why}; "
            "start one with 'penstock serve', or say --host and --port"
        )


class ServerRefused(SimulationFailed):
    """An MQTT server answers, and will not have us."""

    def __init__(self, host: str, port: int, client_id: str, why: str) -> None:
        super().__init__(
            f"the MQTT server at {host}:{port} refuses client '{client_id}': {why}; "
            "say --username and --password that it accepts"
        )


class LoadFailed(SimulationFailed):
    """A server under load closed a connection, or answered with what MQTT does not allow."""
