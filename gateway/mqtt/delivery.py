"""Messages on their way to subscribers: encoded once, sent to many with different packet ids.

The short way for the fan-out, and plain enough to be compiled as it stands; what is sent this way
was checked when it was published. `encode` is the readable way, which its test compares it with.
"""

from __future__ import annotations

from gateway.mqtt.primitives import encode_variable_byte_integer

PUBLISH_FIRST_BYTE = 0x30
DUP_FLAG = 0x08
QOS_FLAGS = 0x06
LONGEST_IN_ONE_BYTE = 0x7F
LONGEST_IN_TWO_BYTES = 0x3FFF


def publish_parts(
    flags: int,
    topic: bytes,
    payload: bytes,
    properties: bytes | None,
    streamed_bytes: int = 0,
) -> tuple[bytes, bytes]:
    """Encode a PUBLISH as what stands before and after its packet identifier.

    With QoS 0 there is no packet identifier: the second part is empty, the first is the packet.

    `flags` are the low four bits of the first byte, as in `gateway.events.Flag`. `topic` is UTF-8
    of at most 65,535 bytes. `properties` is None for 3.1.1, and for MQTT 5 what
    `encode_properties` returns, maybe nothing. `streamed_bytes` of the payload follow what is
    returned.

    Spec: MQTT5 §3.3, MQTT311 §3.3
    """
    topic_length = len(topic)
    length = 2 + topic_length + len(payload) + streamed_bytes
    if flags & QOS_FLAGS:
        length += 2
    if properties is None:
        section = b""
    elif properties:
        section = encode_variable_byte_integer(len(properties)) + properties
        length += len(section)
    else:
        section = b"\x00"
        length += 1
    first = PUBLISH_FIRST_BYTE | flags
    if length <= LONGEST_IN_ONE_BYTE:
        fixed = bytes((first, length, topic_length >> 8, topic_length & 0xFF))
    elif length <= LONGEST_IN_TWO_BYTES:
        fixed = bytes(
            (first, length & 0x7F | 0x80, length >> 7, topic_length >> 8, topic_length & 0xFF)
        )
    else:
        size = encode_variable_byte_integer(length)
        fixed = b"%c%b%b" % (first, size, topic_length.to_bytes(2, "big"))
    if flags & QOS_FLAGS:
        return fixed + topic, section + payload
    return fixed + topic + section + payload, b""


def with_dup(head: bytes) -> bytes:
    """The first part of a PUBLISH with DUP set, for when it is sent again."""
    # [MQTT5-3.3.1-1] [MQTT311-3.3.1-1]
    return bytes((head[0] | DUP_FLAG,)) + head[1:]
