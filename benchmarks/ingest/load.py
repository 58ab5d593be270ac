"""What a load is and what it measured; how it is driven is `generator`'s affair."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Load:
    """Who publishes what to where, and for how long."""

    port: int = 0
    host: str = "127.0.0.1"
    connections: int = 100
    window: int = 100
    payload_bytes: int = 120
    warm_up_s: float = 1.0
    measured_s: float = 5.0
    seed: int = 1


@dataclass(slots=True)
class Measured:
    """What one run of a load saw between the end of its warm-up and the end of its time."""

    messages: int = 0
    seconds: float = 0.0
    generator_cpu_s: float = 0.0
    unacknowledged: int = 0
    latencies_us: list[float] = field(default_factory=list)

    @property
    def messages_per_s(self) -> float:
        return self.messages / self.seconds if self.seconds else 0.0

    def latency_us(self, quantile: float) -> float:
        """The sampled ack latency that `quantile` of the samples don't pass; 0 without samples."""
        if not self.latencies_us:
            return 0.0
        ordered = sorted(self.latencies_us)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]
