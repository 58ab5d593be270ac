"""Which subscriptions a client is granted, and with which reason code each is answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container
from datetime import datetime

from gateway.errors import MqttError
from gateway.mqtt import ReasonCode, Subscribe, Subscription, check_topic_filter
from gateway.session.options import SessionOptions
from gateway.session.state import REPLAY_PREFIX, SHARE_PREFIX, Grant

START_PROPERTY = "penstock-start"
BLOBS_PROPERTY = "penstock-blobs"
REFERENCE = "reference"
START = re.compile(r"earliest|latest|@[0-9]{1,15}|-(?:[0-9]{1,9}(?:ms|[dhms]))+")


def check_subscriptions(
    subscribe: Subscribe,
    options: SessionOptions,
    held: Collection[str],
    refusal_of: Callable[[str], str] | None = None,
) -> tuple[list[Grant], tuple[ReasonCode, ...], str]:
    """Decide each topic filter of a SUBSCRIBE: what is granted, and one reason code each, in order.

    `held` are the filters that the session has already; asking for one of them again adds none.
    `refusal_of` says why a filter is not for this client, if it is not. The text
    says why the first of those was refused that are not granted.

    Spec: MQTT5 §3.9.3 [MQTT5-3.8.4-6] [MQTT5-3.8.4-7] [MQTT5-3.9.3-1],
    MQTT311 §3.9.3 [MQTT311-3.8.4-5] [MQTT311-3.9.3-1]
    """
    ids = subscribe.properties.subscription_ids
    wishes = dict(subscribe.properties.user_properties)
    asked_start = wishes.get(START_PROPERTY, "")
    takes_references = wishes.get(BLOBS_PROPERTY) == REFERENCE
    grants: list[Grant] = []
    reason_codes: list[ReasonCode] = []
    reason = ""
    filters = set(held)
    for subscription in subscribe.subscriptions:
        start = asked_start or start_of(subscription.topic_filter)
        refusal = _refusal(subscription, options, start)
        if refusal is None and refusal_of is not None:
            refusal = _denial(subscription.topic_filter, refusal_of)
        if refusal is None:
            is_new = subscription.topic_filter not in filters
            if is_new and len(filters) >= options.subscriptions_max:
                most = f"a session has at most {options.subscriptions_max} subscriptions"
                refusal = ReasonCode.QUOTA_EXCEEDED, most
        if refusal is not None:
            reason_codes.append(refusal[0])
            reason = reason or refusal[1]
            continue
        filters.add(subscription.topic_filter)
        qos = subscription.maximum_qos
        reason_codes.append(ReasonCode(qos))
        grants.append(
            Grant(
                subscription.topic_filter,
                qos,
                subscription.no_local,
                subscription.retain_as_published,
                subscription.retain_handling,
                ids[0] if ids else None,
                start,
                takes_references,
            )
        )
    return grants, tuple(reason_codes), reason


def brings_retained(grant: Grant, held: Container[str]) -> bool:
    """Whether a grant brings retained messages to a session that has the filters of `held`.

    Spec: MQTT5 §3.8.3.1 [MQTT5-3.3.1-9] [MQTT5-3.3.1-10] [MQTT5-3.3.1-11] [MQTT5-3.8.4-4],
    MQTT311 §3.3.1.3 [MQTT311-3.3.1-6]
    """
    if grant.start or grant.is_shared:
        # History has the messages themselves; a group has read them long ago.
        return False
    is_new = grant.topic_filter not in held
    return grant.retain_handling == 0 or (grant.retain_handling == 1 and is_new)


def start_of(topic_filter: str) -> str:
    """The start in `$replay/<start>/<filter>`; empty for a filter of another kind."""
    if not topic_filter.startswith(REPLAY_PREFIX):
        return ""
    return topic_filter[len(REPLAY_PREFIX) :].partition("/")[0] or "?"


def is_start(text: str) -> bool:
    """Whether a text says where history begins: `earliest`, `latest`, `@1234`, `-1h`, a time."""
    if START.fullmatch(text):
        return True
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _denial(topic_filter: str, refusal_of: Callable[[str], str]) -> tuple[ReasonCode, str] | None:
    reason = refusal_of(topic_filter)
    return (ReasonCode.NOT_AUTHORIZED, reason) if reason else None


def _refusal(
    subscription: Subscription, options: SessionOptions, start: str
) -> tuple[ReasonCode, str] | None:
    topic_filter = subscription.topic_filter
    if start and not is_start(start):
        return ReasonCode.TOPIC_FILTER_INVALID, f"'{start}' is no place to start from"
    if topic_filter.startswith(REPLAY_PREFIX):
        topic_filter = topic_filter[len(REPLAY_PREFIX) :].partition("/")[2]
    if start and topic_filter.startswith(SHARE_PREFIX):
        # A group has one position; a member can't choose another.
        return ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, "a group has its own position"
    if topic_filter.count("/") >= options.topic_levels_max:
        most = f"a topic filter has at most {options.topic_levels_max} levels"
        return ReasonCode.TOPIC_FILTER_INVALID, most
    try:
        check_topic_filter(topic_filter)
    except MqttError as error:
        return ReasonCode.TOPIC_FILTER_INVALID, str(error)
    return None
