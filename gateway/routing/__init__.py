"""Who receives a message, and which stream keeps it."""

from gateway.routing.router import NoStreamForTopic, Route, Router, StreamRoute, cut_runs
from gateway.routing.subscriptions import SubscriptionTree

__all__ = [
    "NoStreamForTopic",
    "Route",
    "Router",
    "StreamRoute",
    "SubscriptionTree",
    "cut_runs",
]
