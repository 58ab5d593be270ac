"""What each load is, and what it measures; how it is driven is the affair of its own module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Load:
    """Where every load goes, and as whom."""

    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password: str | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True)
class IngestLoad(Load):
    """Connections that keep `window` QoS 1 messages in flight, as fast as they are acknowledged.

    `with_properties` makes it MQTT 5, each message with a content type and a user property.
    """

    connections: int = 100
    window: int = 100
    payload_bytes: int = 120
    with_properties: bool = False
    warm_up_s: float = 1.0
    measured_s: float = 5.0


@dataclass(frozen=True, slots=True)
class FanoutLoad(Load):
    """QoS 1 publishers, and subscribers that each get every message with `qos`."""

    publishers: int = 1
    subscribers: int = 1000
    qos: int = 0
    window: int = 100
    payload_bytes: int = 120
    warm_up_s: float = 1.0
    measured_s: float = 5.0


@dataclass(frozen=True, slots=True)
class ConnectLoad(Load):
    """Clients that come, are accepted and go, `at_once` of them at a time."""

    at_once: int = 50
    warm_up_s: float = 1.0
    measured_s: float = 5.0


@dataclass(frozen=True, slots=True)
class StormLoad(Load):
    """Clients with one subscription each that all lose their connection and come back at once.

    Meanwhile `steady` other clients publish with QoS 1, `rate_hz` messages a second each.
    """

    clients: int = 5000
    steady: int = 50
    rate_hz: float = 10.0
    payload_bytes: int = 120
    quiet_s: float = 2.0
    give_up_s: float = 120.0


@dataclass(frozen=True, slots=True)
class HoldLoad(Load):
    """Clients that are connected and say nothing; with a subscription each when that is wanted."""

    clients: int = 10_000
    subscribes: bool = False
    settle_s: float = 2.0


@dataclass(frozen=True, slots=True)
class DrainLoad(Load):
    """A durable session that misses `missed` events, and comes back while others publish on."""

    missed: int = 1_000_000
    publishers: int = 20
    window: int = 500
    payload_bytes: int = 120
    background_hz: float = 2000.0
    give_up_s: float = 300.0


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value that `part` of `ordered`, which is sorted, don't pass; 0 when it is empty."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


@dataclass(slots=True)
class IngestMeasured:
    """What one run saw between the end of its warm-up and the end of its time."""

    messages: int = 0
    seconds: float = 0.0
    generator_cpu_s: float = 0.0
    unacknowledged: int = 0
    latencies_us: list[float] = field(default_factory=list)

    @property
    def messages_per_s(self) -> float:
        return self.messages / self.seconds if self.seconds else 0.0

    def latency_us(self, part: float) -> float:
        """The sampled ack latency that `part` of the samples don't pass; 0 without samples."""
        return quantile(sorted(self.latencies_us), part)


@dataclass(slots=True)
class FanoutMeasured:
    """How many messages were published and delivered, until the last delivery had come."""

    published: int = 0
    delivered: int = 0
    lost: int = 0
    seconds: float = 0.0
    generator_cpu_s: float = 0.0

    @property
    def deliveries_per_s(self) -> float:
        return self.delivered / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class ConnectMeasured:
    """How many clients were accepted, and how long each waited from its SYN to its CONNACK."""

    connects: int = 0
    failures: int = 0
    seconds: float = 0.0
    generator_cpu_s: float = 0.0
    latency_us_p50: float = 0.0
    latency_us_p99: float = 0.0
    latency_us_max: float = 0.0

    @property
    def connects_per_s(self) -> float:
        return self.connects / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class StormMeasured:
    """How long it took until every client was back, and what the others noticed of it."""

    clients: int = 0
    all_back_s: float = 0.0
    half_back_s: float = 0.0
    retries: int = 0
    steady_acks: int = 0
    ack_us_p50: float = 0.0
    ack_us_p99: float = 0.0
    ack_us_max: float = 0.0
    quiet_ack_us_p99: float = 0.0


@dataclass(slots=True)
class HoldMeasured:
    """How many clients were connected at the end, and how long it took to have them all."""

    clients: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class DrainMeasured:
    """How fast a session got what it had missed, in order, and what was taken in meanwhile."""

    missed: int = 0
    delivered: int = 0
    disordered: int = 0
    seconds: float = 0.0
    background: int = 0

    @property
    def deliveries_per_s(self) -> float:
        return self.delivered / self.seconds if self.seconds else 0.0
