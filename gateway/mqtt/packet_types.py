"""The names of the control packets, of the protocol versions and of a connection's two ends."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ProtocolVersion(IntEnum):
    """The protocol versions that we speak, by the number that CONNECT carries for them.

    Spec: MQTT5 §3.1.2.2, MQTT311 §3.1.2.2
    """

    V3_1_1 = 4
    V5 = 5


# MQTT 3.1, of before OASIS, which old devices still speak: 3.1.1 but for its name in CONNECT, an
# empty client identifier that is never allowed, no Session Present, and more packets with DUP.
V3_1 = 3


class Sender(StrEnum):
    """Which end sent a packet; some packets, properties and reason codes belong to one of them."""

    CLIENT = "client"
    SERVER = "server"


class PacketType(IntEnum):
    """The control packet types, by the high four bits of the first byte.

    Spec: MQTT5 §2.1.2, MQTT311 §2.2.1
    """

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15
