"""Which subscriptions a client is granted, and with which reason code each is answered."""

from __future__ import annotations

from gateway.errors import MqttError
from gateway.mqtt import ReasonCode, Subscribe, Subscription, check_topic_filter
from gateway.session.options import SessionOptions
from gateway.session.state import Grant

SHARE_PREFIX = "$share/"


def check_subscriptions(
    subscribe: Subscribe, options: SessionOptions, held: int
) -> tuple[list[Grant], tuple[ReasonCode, ...]]:
    """Decide each topic filter of a SUBSCRIBE: what is granted, and one reason code each, in order.

    `held` is how many subscriptions the session has already.

    Spec: MQTT5 §3.9.3 [MQTT5-3.8.4-6], MQTT311 §3.9.3 [MQTT311-3.9.3-1]
    """
    ids = subscribe.properties.subscription_ids
    grants: list[Grant] = []
    reason_codes: list[ReasonCode] = []
    for subscription in subscribe.subscriptions:
        refusal = _refusal(subscription, options)
        if refusal is None and held + len(grants) >= options.subscriptions_max:
            refusal = ReasonCode.QUOTA_EXCEEDED
        if refusal is not None:
            reason_codes.append(refusal)
            continue
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
            )
        )
    return grants, tuple(reason_codes)


def _refusal(subscription: Subscription, options: SessionOptions) -> ReasonCode | None:
    topic_filter = subscription.topic_filter
    if topic_filter.startswith(SHARE_PREFIX):
        return ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
    if topic_filter.count("/") >= options.topic_levels_max:
        return ReasonCode.TOPIC_FILTER_INVALID
    try:
        check_topic_filter(topic_filter)
    except MqttError:
        return ReasonCode.TOPIC_FILTER_INVALID
    return None
