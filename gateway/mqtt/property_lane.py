"""The lane for PUBLISH packets with properties, beside `lane`, which takes those without.

What devices say of their messages is nearly always short plain text: a content type, user
properties, correlation data, an expiry. That is checked here in one pass and kept as the bytes that
it came in. A topic alias, text beyond ASCII and everything wrong are left to `gateway.mqtt.decode`.
Plain typed Python over bytes and ints, so that mypyc can compile it unchanged.
"""

from __future__ import annotations

from gateway.mqtt.lane import (
    CONTINUATION_BIT,
    QOS_0_VARIANTS,
    QOS_1,
    QOS_1_VARIANTS,
    SEVEN_BITS,
    SHORTEST_PACKET,
    PublishColumns,
)

PUBLISH_QOS_1 = 0x32
PAYLOAD_FORMAT_INDICATOR = 0x01
MESSAGE_EXPIRY_INTERVAL = 0x02
CONTENT_TYPE = 0x03
RESPONSE_TOPIC = 0x08
CORRELATION_DATA = 0x09
USER_PROPERTY = 0x26


def split_described(  # noqa: PLR0915 - the hot loop of the wire is one loop
    buffer: bytes, start: int, columns: PublishColumns
) -> int:
    """Append the MQTT 5 PUBLISH packets that begin at `buffer[start]` with their properties.

    Returns where the first packet begins that is incomplete or not for this lane; `start` if that
    is the first. What `split_publishes` leaves unchecked, this does, too.

    Spec: MQTT5 §3.3
    """
    end = len(buffer)
    at = start
    last = b""
    while at + SHORTEST_PACKET <= end:
        first = buffer[at]
        length, body = _length_at(buffer, at + 1)
        stop = body + length
        if stop > end or not length:
            break
        topic_end = body + 2 + (buffer[body] << 8 | buffer[body + 1])
        if first == PUBLISH_QOS_1 or first in QOS_1_VARIANTS:
            section_at = topic_end + 2
        elif first in QOS_0_VARIANTS:
            section_at = topic_end
        else:
            break
        if section_at >= stop or topic_end == body + 2:
            break
        size, section_start = _length_at(buffer, section_at)
        payload_start = section_start + size
        section = buffer[section_start:payload_start]
        # A device repeats itself: the same properties as before need no checking again.
        if payload_start > stop or (section != last and not is_plain(section)):
            break
        last = section
        columns.topics.append(buffer[body + 2 : topic_end])
        columns.payloads.append(buffer[payload_start:stop])
        columns.flags.append(first & 0x0F)
        columns.properties.append(section)
        if first & QOS_1:
            columns.packet_ids.append(buffer[topic_end : topic_end + 2])
        at = stop
    return at


def _length_at(buffer: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer of one or two bytes and where it ends; what is longer ends nowhere.

    Spec: MQTT5 §1.5.5
    """
    low = buffer[at]
    if not low & CONTINUATION_BIT:
        return low, at + 1
    if at + 1 < len(buffer):
        high = buffer[at + 1]
        if high and not high & CONTINUATION_BIT:
            return low & SEVEN_BITS | high << 7, at + 2
    return len(buffer), at


def is_plain(section: bytes) -> bool:  # noqa: C901 - one branch for each property
    """Whether these are surely right as the properties of a PUBLISH, and ask nothing of us.

    False says only that they must be looked at more closely.

    Spec: MQTT5 §3.3.2.3
    """
    end = len(section)
    at = seen = 0
    while at < end:
        identifier = section[at]
        at += 1
        if identifier == USER_PROPERTY:
            at = _after_text(section, _after_text(section, at))
            continue
        if seen >> identifier & 1:
            return False
        seen |= 1 << identifier
        if identifier == CORRELATION_DATA:
            at += 2 + int.from_bytes(section[at : at + 2], "big")
        elif identifier == CONTENT_TYPE:
            at = _after_text(section, at)
        elif identifier == MESSAGE_EXPIRY_INTERVAL:
            at += 4
        elif identifier == RESPONSE_TOPIC:
            at = _after_topic(section, at)
        elif identifier == PAYLOAD_FORMAT_INDICATOR and section[at : at + 1] in (b"\x00", b"\x01"):
            at += 1
        else:
            return False
    return at == end


def _after_text(section: bytes, at: int) -> int:
    """Where a string of printable ASCII ends; beyond the section when it is anything else."""
    stop = at + 2 + int.from_bytes(section[at : at + 2], "big")
    text = section[at + 2 : stop]
    if text.isascii() and text.decode().isprintable():
        return stop
    return len(section) + 1


def _after_topic(section: bytes, at: int) -> int:
    """Where a topic name of printable ASCII ends; beyond the section when it is anything else."""
    stop = _after_text(section, at)
    topic = section[at + 2 : stop]
    if not topic or b"+" in topic or b"#" in topic:
        return len(section) + 1
    return stop
