"""Who receives a message, and which stream keeps it."""

from gateway.routing.retained import Retained, RetainedLimits, RetainedMessages
from gateway.routing.router import (
    NoStreamForTopic,
    Route,
    Router,
    StreamRoute,
    TopicRefused,
    cut_runs,
)
from gateway.routing.subscriptions import SubscriptionTree
from gateway.routing.topic_tree import TopicTree

__all__ = [
    "NoStreamForTopic",
    "Retained",
    "RetainedLimits",
    "RetainedMessages",
    "Route",
    "Router",
    "StreamRoute",
    "SubscriptionTree",
    "TopicRefused",
    "TopicTree",
    "cut_runs",
]
