"""One function as the configuration names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NEVER_LIMITED = 0


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A handler: which function, which events, and the limits that it runs within.

    `call` is MODULE:FUNCTION; `folder` is where modules are looked for first. At most `concurrency`
    events are with the function at a time, never two of one device. After `tries_max` failures an
    event is a dead letter; before the second try lie `backoff_ms`, twice as many each time, at most
    `backoff_ms_max`. A `memory_bytes_max` of 0 sets no limit.
    """

    name: str
    call: str
    folder: Path
    topic_filter: str = "#"
    stream: str = "telemetry"
    where: str = ""
    start: str = "latest"
    concurrency: int = 1
    in_flight_max: int = 100
    time_limit_ms: int = 10_000
    memory_bytes_max: int = NEVER_LIMITED
    tries_max: int = 5
    backoff_ms: int = 1_000
    backoff_ms_max: int = 60_000

    @property
    def group(self) -> str:
        """The consumer group that remembers how far the handler is."""
        return f"handler:{self.name}"

    @property
    def client(self) -> str:
        """Who is held to have published what the handler gives back."""
        return f"$handler:{self.name}"
