"""The PUBLISH lane: consecutive plain PUBLISH packets of one client become columns in one loop.

This is the one hot loop of the wire: local names and inlining are right here, and nowhere else. It
takes what nearly every packet is (QoS 0 or 1, a remaining length of one or two bytes, for MQTT 5 no
properties) and leaves everything else, also everything wrong, to `gateway.mqtt.decode`, which says
what is wrong. Plain typed Python over bytes, ints and lists, so that mypyc can compile it
unchanged.
"""

from __future__ import annotations

PUBLISH_QOS_1 = 0x32
# DUP and RETAIN may vary; DUP with QoS 0 is malformed and left to the general path [MQTT5-3.3.1-2].
QOS_1_VARIANTS = b"\x33\x3a\x3b"
QOS_0_VARIANTS = b"\x30\x31"
QOS_1 = 0x02
CONTINUATION_BIT = 0x80
SEVEN_BITS = 0x7F
PUBACK_HEADER = b"\x40\x02"
PUBACK_SIZE = 4
# Fixed header, topic length and a topic of one byte.
SHORTEST_PACKET = 5


class PublishColumns:
    """The PUBLISH packets of one read, as parallel columns in the order of the wire.

    `packet_ids` has the two bytes of each packet identifier of the QoS 1 packets only, also in
    order: a PUBACK repeats them as they are. `properties` has those of every packet as they stood
    on the wire, without their length; nothing when no packet has any.
    """

    __slots__ = ("flags", "packet_ids", "payloads", "properties", "topics")

    def __init__(self) -> None:
        self.topics: list[bytes] = []
        self.payloads: list[bytes] = []
        self.flags: list[int] = []
        self.packet_ids: list[bytes] = []
        self.properties: list[bytes] = []

    def __len__(self) -> int:
        return len(self.topics)


def split_publishes(  # noqa: C901, PLR0912, PLR0915 - the hot loop of the wire is one loop
    buffer: bytes, start: int, columns: PublishColumns, *, is_v5: bool
) -> int:
    """Append the plain PUBLISH packets that begin at `buffer[start]` to `columns`.

    Returns where the first packet begins that is incomplete or not for this lane; `start` if that
    is the first. Packet identifiers are not checked for zero, nor topics for validity: the session
    resolves each new topic once, and refuses a zero identifier for the whole batch.

    Spec: MQTT5 §3.3, MQTT311 §3.3
    """
    add_topic = columns.topics.append
    add_payload = columns.payloads.append
    add_flags = columns.flags.append
    add_packet_id = columns.packet_ids.append
    starts_with = buffer.startswith
    end = len(buffer)
    at = start
    while at + SHORTEST_PACKET <= end:
        first = buffer[at]
        length = buffer[at + 1]
        body = at + 2
        if length & CONTINUATION_BIT:
            high = buffer[body]
            if high & CONTINUATION_BIT or not high:
                break
            length = length & SEVEN_BITS | high << 7
            body += 1
        stop = body + length
        topic_end = body + 2 + (buffer[body] << 8 | buffer[body + 1])
        if first == PUBLISH_QOS_1 or first in QOS_1_VARIANTS:
            payload_start = topic_end + 2
        elif first in QOS_0_VARIANTS:
            payload_start = topic_end
        else:
            break
        if is_v5:
            payload_start += 1
        if stop > end or payload_start > stop or topic_end == body + 2:
            break
        if is_v5 and buffer[payload_start - 1]:
            break
        topic = buffer[body + 2 : topic_end]
        header = buffer[at:topic_end]
        is_qos_1 = first & QOS_1
        size = stop - at
        # A device repeats itself: the same topic and length as before need no parsing again.
        while True:
            add_topic(topic)
            if is_qos_1:
                add_packet_id(buffer[topic_end : topic_end + 2])
            add_payload(buffer[payload_start:stop])
            add_flags(first & 0x0F)
            at = stop
            stop += size
            if stop > end or not starts_with(header, at):
                break
            topic_end += size
            payload_start += size
            if is_v5 and buffer[payload_start - 1]:
                break
    return at


def split_pubacks(buffer: bytes, start: int) -> tuple[list[bytes], int]:
    """Take the consecutive short PUBACK packets that begin at `buffer[start]`.

    Returns the two bytes of each packet identifier, in order, and where the first packet begins
    that is incomplete or no PUBACK of this form. A longer PUBACK, with a reason code, is for the
    general path.

    Spec: MQTT5 §3.4, MQTT311 §3.4
    """
    end = len(buffer)
    stop = start
    while buffer.startswith(PUBACK_HEADER, stop) and stop + PUBACK_SIZE <= end:
        stop += PUBACK_SIZE
    return [buffer[at + 2 : at + PUBACK_SIZE] for at in range(start, stop, PUBACK_SIZE)], stop


def packet_size(buffer: bytes) -> int | None:
    """How many bytes the packet at the start of `buffer` has, itself included.

    None while the remaining length has not arrived. How long it may be is for others to say.
    """
    size = 0
    for index in range(1, min(len(buffer), 5)):
        size |= (buffer[index] & SEVEN_BITS) << 7 * (index - 1)
        if not buffer[index] & CONTINUATION_BIT:
            return size + index + 1
    return None
