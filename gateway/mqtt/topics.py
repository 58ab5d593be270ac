"""Topic names and topic filters: what they may look like, and which filter matches which name.

`matches` is the slow and obvious matcher; the tree of `gateway.routing` is the fast one.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.errors import MalformedPacket, ProtocolError
from gateway.mqtt.primitives import TWO_BYTE_INTEGER_MAX, check_name, decode_string, shown
from gateway.mqtt.reason_codes import ReasonCode

SEPARATOR = "/"
ANY_LEVEL = "+"
ALL_LEVELS = "#"
SHARE_PREFIX = "$share/"


class TopicLimits(NamedTuple):
    """How long a topic may be, beyond what the specification says: `bytes_max` counts its UTF-8."""

    bytes_max: int = TWO_BYTE_INTEGER_MAX
    levels_max: int = TWO_BYTE_INTEGER_MAX + 1


NO_LIMITS = TopicLimits()


class SharedFilter(NamedTuple):
    """A shared subscription: the group, and the filter that it shares."""

    share_name: str
    topic_filter: str


def has_wildcard(topic: str) -> bool:
    """Whether a wildcard stands anywhere in the text."""
    return ANY_LEVEL in topic or ALL_LEVELS in topic


def is_topic_name(text: str) -> bool:
    """Whether a string of the wire may be a topic name: not empty and without wildcards."""
    # [MQTT5-4.7.3-1] [MQTT311-4.7.3-1] [MQTT5-4.7.0-1] [MQTT311-4.7.1-1]
    return bool(text) and not has_wildcard(text)


def check_topic_name(topic: str, limits: TopicLimits = NO_LIMITS) -> None:
    """Refuse what can't be the topic name of a message, or passes our limits.

    Raises:
        MalformedPacket: it is empty, or has a wildcard or a control character.
        ProtocolError: it is longer or deeper than `limits` (0x90).

    Spec: MQTT5 §4.7, MQTT311 §4.7
    """
    if not topic:  # [MQTT5-4.7.3-1] [MQTT311-4.7.3-1]
        raise MalformedPacket("the topic name is empty")
    if has_wildcard(topic):  # [MQTT5-3.3.2-2] [MQTT311-3.3.2-2]
        raise MalformedPacket(f"the topic name {shown(topic)} has a wildcard")
    check_name(topic, "topic name")
    _check_limits(topic, limits, "topic name", ReasonCode.TOPIC_NAME_INVALID)


def decode_topic_name(encoded: bytes, limits: TopicLimits = NO_LIMITS) -> str:
    """Read a topic name from its bytes; once for each topic that the PUBLISH lane meets.

    Raises:
        MalformedPacket: as `decode_string` and `check_topic_name`.
        ProtocolError: as `check_topic_name`.
    """
    topic = decode_string(encoded, "topic name")
    check_topic_name(topic, limits)
    return topic


def check_topic_filter(topic_filter: str, limits: TopicLimits = NO_LIMITS) -> None:
    """Refuse what can't be a subscription's topic filter, shared or not, or is too long.

    Raises:
        MalformedPacket: it is empty, has a control character, or a wildcard where none may stand.
        ProtocolError: it begins as a shared subscription and goes on as none (0x82), or is longer
            or deeper than `limits` (0x8F).

    Spec: MQTT5 §4.7, §4.8.2, MQTT311 §4.7
    """
    if not topic_filter:  # [MQTT5-4.7.3-1] [MQTT311-4.7.3-1]
        raise MalformedPacket("the topic filter is empty")
    check_name(topic_filter, "topic filter")
    if has_wildcard(topic_filter):
        _check_wildcards(topic_filter)
    parse_shared_filter(topic_filter)
    _check_limits(topic_filter, limits, "topic filter", ReasonCode.TOPIC_FILTER_INVALID)


def parse_shared_filter(topic_filter: str) -> SharedFilter | None:
    """Take `$share/<group>/<filter>` apart; None when it is no shared subscription.

    Raises:
        ProtocolError: it begins with `$share/` and lacks a share name or a filter.

    Spec: MQTT5 §4.8.2
    """
    if not topic_filter.startswith(SHARE_PREFIX):
        return None
    share_name, _, shared = topic_filter[len(SHARE_PREFIX) :].partition(SEPARATOR)
    if not share_name or has_wildcard(share_name):  # [MQTT5-4.8.2-1] [MQTT5-4.8.2-2]
        raise ProtocolError(f"{shown(topic_filter)}: a share name is not empty and has no wildcard")
    if not shared:  # [MQTT5-4.8.2-2]
        raise ProtocolError(f"{shown(topic_filter)} shares no filter; write $share/<name>/<filter>")
    return SharedFilter(share_name, shared)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a message to `topic` reaches a subscription to `topic_filter`, level by level.

    Both are taken to be valid, and the filter not to be shared. Nothing is normalized
    [MQTT5-4.7.3-4] [MQTT311-4.7.3-4].

    Spec: MQTT5 §4.7, MQTT311 §4.7
    """
    # [MQTT5-4.7.2-1] [MQTT311-4.7.2-1]
    if topic.startswith("$") and topic_filter[:1] in {ANY_LEVEL, ALL_LEVELS}:
        return False
    wanted = topic_filter.split(SEPARATOR)
    found = topic.split(SEPARATOR)
    if wanted[-1] == ALL_LEVELS:
        # `sport/#` also matches `sport`, the level above.
        wanted.pop()
        found = found[: len(wanted)]
    return len(wanted) == len(found) and all(
        level in (ANY_LEVEL, name) for level, name in zip(wanted, found, strict=True)
    )


def _check_wildcards(topic_filter: str) -> None:
    levels = topic_filter.split(SEPARATOR)
    for depth, level in enumerate(levels):
        if len(level) > 1 and has_wildcard(level):
            # [MQTT5-4.7.1-1] [MQTT5-4.7.1-2] [MQTT311-4.7.1-2] [MQTT311-4.7.1-3]
            raise MalformedPacket(f"{shown(topic_filter)}: a wildcard must be a whole level")
        if level == ALL_LEVELS and depth < len(levels) - 1:  # [MQTT5-4.7.1-1] [MQTT311-4.7.1-2]
            raise MalformedPacket(f"{shown(topic_filter)}: # must be the last level")


def _check_limits(topic: str, limits: TopicLimits, what: str, refusal: ReasonCode) -> None:
    levels = topic.count(SEPARATOR) + 1
    if levels > limits.levels_max:
        raise ProtocolError(
            f"the {what} has {levels} levels of at most {limits.levels_max}", refusal
        )
    # Counting characters first spares the encoding of nearly every topic.
    if len(topic) * 4 > limits.bytes_max and len(topic.encode()) > limits.bytes_max:
        # [MQTT5-4.7.3-3] [MQTT311-4.7.3-3]
        raise ProtocolError(f"the {what} is longer than {limits.bytes_max} bytes", refusal)
