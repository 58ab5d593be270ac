"""Whether an answer is the one that another project's test waits for.

Both are whole MQTT 5 or 3.1.1 packets. What a server is free to choose may differ: which of its
limits CONNACK tells, and whether an answer carries a reason in words.
"""

from __future__ import annotations

import struct

CONNACK, DISCONNECT = 2, 14
# Acknowledgements: a reason code and properties may stand behind the packet identifier.
ACKNOWLEDGEMENTS = frozenset({4, 5, 6, 7})
LIMITS = frozenset({0x21, 0x22})  # receive maximum, topic alias maximum
SIZES = {1: (0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 2: (0x13, 0x21, 0x22, 0x23)}
SIZES[4] = (0x02, 0x11, 0x18, 0x27)
SIZE_BY_PROPERTY = {number: size for size, numbers in SIZES.items() for number in numbers}
USER_PROPERTY = 0x26


def body_of(packet: bytes) -> bytes:
    """What follows the remaining length."""
    at = 1
    while packet[at] & 0x80:
        at += 1
    return packet[at + 1 :]


def is_one_packet(wire: bytes) -> bool:
    """Whether these bytes are one whole packet."""
    length = shift = 0
    for at, byte in enumerate(wire[1:5], 2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return len(wire) == at + length
    return False


def properties_of(section: bytes) -> list[bytes]:
    """The properties of a section without its length, each with its number in front."""
    found, at = [], 0
    while at < len(section):
        number = section[at]
        size = SIZE_BY_PROPERTY.get(number)
        if size is None:
            size = 2 + struct.unpack_from("!H", section, at + 1)[0]
            if number == USER_PROPERTY:
                size += 2 + struct.unpack_from("!H", section, at + 1 + size)[0]
        found.append(section[at : at + 1 + size])
        at += 1 + size
    return found


def is_expected(answer: bytes, expected: bytes) -> bool:
    """Whether an answer is what was expected, but for what a server is free to choose."""
    if answer == expected:
        return True
    if not answer or answer[0] != expected[0]:
        return False
    kind, heard, wanted = answer[0] >> 4, body_of(answer), body_of(expected)
    if kind == CONNACK:
        if heard[:2] != wanted[:2]:
            return False
        told = {one for one in properties_of(wanted[3:]) if one[0] not in LIMITS}
        return told <= set(properties_of(heard[3:]))
    code_at = 2 if kind in ACKNOWLEDGEMENTS else 0 if kind == DISCONNECT else None
    if code_at is None:
        return False
    return heard[:code_at] == wanted[:code_at] and code_of(heard, code_at) == code_of(
        wanted, code_at
    )


def code_of(body: bytes, at: int) -> int:
    """The reason code of an acknowledgement or a DISCONNECT; left out, it is success."""
    return body[at] if len(body) > at else 0
