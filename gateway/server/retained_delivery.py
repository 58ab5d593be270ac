"""Retained messages on their way to who has just subscribed, at the pace of the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.events import Flag
from gateway.routing import Retained, RetainedMessages
from gateway.server.claims import reference_properties
from gateway.server.subscriber import Subscriber
from gateway.session import Grant, Outgoing, Position, Terms, current_properties

if TYPE_CHECKING:
    from gateway.server.fanout import Fanout

YIELD_EVERY = 500


def outgoing_of(topic: str, retained: Retained, properties: bytes) -> Outgoing:
    """A retained message, to be delivered with these properties."""
    payload = retained.payload
    if retained.flags >= Flag.CLAIM:
        properties += reference_properties(payload)
    return Outgoing(topic.encode(), payload, retained.flags, properties, retained.arrival_ms)


class RetainedDelivery:
    """Sends what is retained to new subscriptions."""

    def __init__(self, fanout: Fanout, retained: RetainedMessages) -> None:
        self._fanout = fanout
        self._retained = retained

    async def send(self, subscriber: Subscriber, grants: Sequence[Grant]) -> None:
        """Deliver the retained messages that match new grants, at the pace of the client.

        Spec: MQTT5 §3.3.1.3 [MQTT5-3.3.1-9], MQTT311 §3.3.1.3 [MQTT311-3.3.1-6]
        """
        for grant in grants:
            terms = Terms.of([grant])
            for number, topic in enumerate(self._retained.match(grant.topic_filter)):
                await self._send_one(subscriber, terms, topic)
                if number % YIELD_EVERY == YIELD_EVERY - 1:
                    await self._fanout.breathe(subscriber)
        subscriber.flush()

    async def _send_one(self, subscriber: Subscriber, terms: Terms, topic: str) -> None:
        retained = self._retained.get(topic)
        if retained is None or not (subscriber.may_read is None or subscriber.may_read(topic)):
            return
        now_ms = self._fanout.clock.now_ms()
        properties = current_properties(retained.properties, retained.arrival_ms, now_ms)
        if properties is None:
            return
        message = outgoing_of(topic, retained, properties)
        position = Position("", 0, 0, message.qos, topic)
        whole = message if terms.takes_references else await self._fanout.resolve(message)
        while whole is not None and (
            subscriber.is_clogged or not subscriber.offer(whole, terms, position, is_retained=True)
        ):
            subscriber.flush()
            await subscriber.wait_for_room()
