"""The `$SYS` tree: the gateway's own figures as retained messages, in memory alone.

They are no events: nothing of them is in the log, a shared subscription or a replay. They go out at
QoS 0, and only what has changed goes out again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

import orjson

from gateway.clock import Clock
from gateway.events import Flag
from gateway.metrics import Reading
from gateway.mqtt import matches
from gateway.server.fanout import Fanout
from gateway.server.flapping import Flapping
from gateway.server.subscriber import Subscriber
from gateway.server.sys_topics import ROOT, SysTopics
from gateway.session import Grant, Outgoing, Position, Terms

SYS_PREFIX = "$SYS"
FLAPPING_TOPIC = f"{ROOT}penstock/flapping"
FLAPPING_SHOWN_MAX = 20


class SysTree:
    """What stands under `$SYS`, by topic, and who hears of it."""

    def __init__(
        self,
        read: Callable[[], Awaitable[Reading]],
        fanout: Fanout,
        flapping: Flapping,
        clock: Clock,
        interval_ms: int,
    ) -> None:
        self._read = read
        self._fanout = fanout
        self._flapping = flapping
        self._clock = clock
        self._interval_ms = interval_ms
        self._topics = SysTopics()
        self._payloads: dict[str, bytes] = {}
        self._written: set[str] = set()
        self._looked_at_ms = clock.monotonic_ms()
        self._flapping_changes = -1

    @property
    def payloads(self) -> Mapping[str, bytes]:
        """What a new subscriber to everything would get."""
        return self._payloads

    async def run(self) -> None:
        """Publish at once and then at every interval, for ever."""
        while True:
            await self.publish()
            await asyncio.sleep(self._interval_ms / 1_000)

    async def publish(self) -> None:
        """Look at everything, and tell what has changed."""
        reading = await self._read()
        now_ms = self._clock.monotonic_ms()
        elapsed_ms, self._looked_at_ms = now_ms - self._looked_at_ms, now_ms
        payloads = self._topics.write(reading, elapsed_ms)
        self._tell(payloads)
        self._forget(self._written - payloads.keys())
        self._written = set(payloads)
        self.tell_flapping()

    def _forget(self, topics: Collection[str]) -> None:
        """Tell that figures are no more: an empty payload ends a retained message."""
        self._tell(dict.fromkeys(topics, b""))
        for topic in topics:
            self._payloads.pop(topic, None)

    def tell_flapping(self) -> None:
        """Tell who fights over which identifier, if that has changed."""
        if self._flapping_changes != self._flapping.changes:
            self._flapping_changes = self._flapping.changes
            self._tell({FLAPPING_TOPIC: flapping_notice(self._flapping)})

    def _tell(self, payloads: Mapping[str, bytes]) -> None:
        touched: dict[Subscriber, None] = {}
        for topic, payload in payloads.items():
            if self._payloads.get(topic) == payload:
                continue
            self._payloads[topic] = payload
            terms_by_subscriber = self._fanout.terms_of(topic)
            if terms_by_subscriber:
                message = self._message(topic, payload)
                for subscriber, terms in terms_by_subscriber.items():
                    offer(subscriber, message, terms)
                    touched[subscriber] = None
        for subscriber in touched:
            subscriber.flush()

    def send(self, subscriber: Subscriber, grants: Iterable[Grant]) -> None:
        """Send what stands under `$SYS` to a client that has just subscribed to it.

        Spec: MQTT5 §3.3.1.3 [MQTT5-3.3.1-9], MQTT311 §3.3.1.3 [MQTT311-3.3.1-6]
        """
        for grant in grants:
            terms = Terms.of([grant])
            for topic, payload in self._payloads.items():
                if matches(grant.topic_filter, topic):
                    message = self._message(topic, payload)
                    offer(subscriber, message, terms, is_retained=True)
        subscriber.flush()

    def _message(self, topic: str, payload: bytes) -> Outgoing:
        return Outgoing(topic.encode(), payload, Flag.RETAIN, b"", self._clock.now_ms())


def of_sys(grants: Sequence[Grant]) -> list[Grant]:
    """The grants that ask for topics of `$SYS`: no other filter matches them [MQTT5-4.7.2-1]."""
    return [grant for grant in grants if grant.topic_filter.startswith(SYS_PREFIX)]


def offer(
    subscriber: Subscriber, message: Outgoing, terms: Terms, *, is_retained: bool = False
) -> None:
    """Put a figure into a client's outbox; one that doesn't read misses it."""
    if subscriber.is_clogged:
        subscriber.delivery.dropped += 1
        return
    position = Position("", 0, 0, 0, message.topic.decode())
    subscriber.delivery.offer(message, terms, position, is_retained=is_retained)


def flapping_notice(flapping: Flapping) -> bytes:
    """Who fights over which identifier, as JSON: a list that is empty while nobody does."""
    contested = list(flapping.contested().items())
    return orjson.dumps(
        [
            {
                "client_id": client_id,
                "addresses": [contest.loser.address, contest.winner.address],
                "takeovers": contest.takeovers,
            }
            for client_id, contest in contested[-FLAPPING_SHOWN_MAX:]
        ]
    )
