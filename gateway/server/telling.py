"""What the gateway says to whoever listens now, and keeps nowhere: at QoS 0, past the log."""

from __future__ import annotations

from gateway.server.fanout import Fanout
from gateway.server.sys_tree import offer
from gateway.session import Outgoing


def tell(fanout: Fanout, topic: str, payload: bytes) -> int:
    """Say something once; returns how many clients it went to. Who doesn't read misses it."""
    terms_by_subscriber = fanout.terms_of(topic)
    message = Outgoing(topic.encode(), payload, 0, b"", fanout.clock.now_ms())
    for subscriber, terms in terms_by_subscriber.items():
        offer(subscriber, message, terms)
        subscriber.flush()
    return len(terms_by_subscriber)
