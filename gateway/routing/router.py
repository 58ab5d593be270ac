"""Which stream and partition a topic is stored in, resolved once per topic.

Who receives it is `subscriptions`; how it is stored is `gateway.store`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.errors import MqttError, ProtocolError
from gateway.events import Origin, Run
from gateway.mqtt import decode_topic_name, matches

NOT_AUTHORIZED = 0x87
TOPIC_NAME_INVALID = 0x90
# About what a route costs, beside its topic, which is kept as bytes, as text and as the device.
ROUTE_BYTES = 450
TOPIC_COPIES = 3


def nothing_sealed(topic: str) -> bool:
    """No topic is the gateway's own."""
    return False


class StreamRoute(NamedTuple):
    """Which topics a stream takes, and how many partitions it has."""

    stream: str
    topic_filters: Sequence[str]
    partitions: int


class Route(NamedTuple):
    """Where the records of one topic lie."""

    stream: str
    partition: int
    origin: Origin


class TopicRefused(MqttError):
    """A message may not be published to its topic; others of the same client may."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, NOT_AUTHORIZED)


class NoStreamForTopic(TopicRefused):
    """No configured stream takes the topic."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"no stream takes the topic '{topic}'")


class Router:
    """The first matching stream takes a topic; the device's hash chooses the partition."""

    def __init__(  # noqa: PLR0913 - three of them are limits
        self,
        streams: Sequence[StreamRoute],
        device_of: Callable[[str], str],
        partition_of: Callable[[str, int], int],
        *,
        known_bytes_max: int = 64 << 20,
        topic_levels_max: int = 200,
        is_sealed: Callable[[str], bool] = nothing_sealed,
    ) -> None:
        """Route by `streams`, in order; what was resolved is kept in about `known_bytes_max`.

        Clients publish to topics of at most `topic_levels_max` levels, and to none that
        `is_sealed`: those are the gateway's own.
        """
        self._streams = streams
        self._device_of = device_of
        self._partition_of = partition_of
        self._known_bytes_max = known_bytes_max
        self._topic_levels_max = topic_levels_max
        self._is_sealed = is_sealed
        self._known_bytes = 0
        self._routes_by_topic_bytes: dict[bytes, Route] = {}

    def rename(self, device_of: Callable[[str], str]) -> None:
        """Let topics name their devices in another way from now on."""
        self._device_of = device_of
        self._routes_by_topic_bytes.clear()
        self._known_bytes = 0

    def routes_of(self, topics: Sequence[bytes]) -> list[Route]:
        """Resolve topic names as they stand on the wire, in order.

        Raises:
            MalformedPacket: one is not UTF-8 text, is empty, or holds a wildcard.
            ProtocolError: one has too many levels (0x90).
            TopicRefused: no stream takes one, or it is the gateway's own.
        """
        known = self._routes_by_topic_bytes
        try:
            return [known[topic] for topic in topics]
        except KeyError:
            return [known.get(topic) or self._resolve(topic) for topic in topics]

    def route_of(self, topic: str, device: str = "") -> Route:
        """Resolve one topic name that comes from the gateway itself.

        It is held to be from `device`, or else from the one that the topic names.

        Raises:
            NoStreamForTopic: no stream takes it.
        """
        for stream in self._streams:
            if any(matches(topic_filter, topic) for topic_filter in stream.topic_filters):
                device = device or self._device_of(topic)
                partition = self._partition_of(device, stream.partitions)
                return Route(stream.stream, partition, Origin(topic, device))
        raise NoStreamForTopic(topic)

    def _resolve(self, topic: bytes) -> Route:
        if topic.count(b"/") >= self._topic_levels_max:
            message = f"a topic name has at most {self._topic_levels_max} levels"
            raise ProtocolError(message, TOPIC_NAME_INVALID)
        name = decode_topic_name(topic)
        if self._is_sealed(name):
            raise TopicRefused(f"'{name}' is a topic of the gateway's own")
        route = self.route_of(name)
        # A client that invents topics must not grow the table for ever; starting over costs little.
        self._known_bytes += ROUTE_BYTES + TOPIC_COPIES * len(topic)
        if self._known_bytes > self._known_bytes_max:
            self._routes_by_topic_bytes.clear()
            self._known_bytes = 0
        self._routes_by_topic_bytes[topic] = route
        return route


def cut_runs(  # noqa: PLR0913 - the columns of a run, which it makes
    routes: Sequence[Route],
    payloads: Sequence[bytes],
    flags: bytes,
    client: str,
    arrival_ms: int,
    properties: Sequence[bytes] | None = None,
) -> list[Run]:
    """Group what arrived together by partition, keeping the order within each.

    This runs for every read of every publisher: the usual cases, one topic or one partition for
    all, are one pass.
    """
    first = routes[0]
    stream, partition, origin = first
    if routes.count(first) == len(routes):
        origins = [origin] * len(routes)
        return [Run(stream, partition, client, arrival_ms, origins, payloads, flags, properties)]
    if all(route[1] == partition and route[0] == stream for route in routes):
        origins = [route[2] for route in routes]
        return [Run(stream, partition, client, arrival_ms, origins, payloads, flags, properties)]
    indexes_by_slot: dict[tuple[str, int], list[int]] = {}
    for index, route in enumerate(routes):
        indexes_by_slot.setdefault((route[0], route[1]), []).append(index)
    return [
        Run(
            stream,
            partition,
            client,
            arrival_ms,
            [routes[index][2] for index in indexes],
            [payloads[index] for index in indexes],
            bytes([flags[index] for index in indexes]),
            None if properties is None else [properties[index] for index in indexes],
        )
        for (stream, partition), indexes in indexes_by_slot.items()
    ]
