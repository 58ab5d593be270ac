"""Reason codes: their names, which packet may carry which, and what 3.1.1 says instead."""

from __future__ import annotations

from enum import IntEnum

from gateway.errors import MalformedPacket, ProtocolError
from gateway.mqtt.packet_types import PacketType, Sender


class ReasonCode(IntEnum):
    """The result of an operation, as MQTT 5 numbers it; from 0x80 on it is a failure.

    Spec: MQTT5 §2.4
    """

    SUCCESS = 0x00
    NORMAL_DISCONNECTION = 0x00
    GRANTED_QOS_0 = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL_MESSAGE = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    RE_AUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_IN_USE = 0x91
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2

    @property
    def is_failure(self) -> bool:
        return self >= ReasonCode.UNSPECIFIED_ERROR


R = ReasonCode

_ALWAYS_POSSIBLE = (R.UNSPECIFIED_ERROR, R.IMPLEMENTATION_SPECIFIC_ERROR, R.NOT_AUTHORIZED)
_OF_A_PUBLISH = frozenset(
    (
        *_ALWAYS_POSSIBLE, R.SUCCESS, R.NO_MATCHING_SUBSCRIBERS, R.TOPIC_NAME_INVALID,
        R.PACKET_IDENTIFIER_IN_USE, R.QUOTA_EXCEEDED, R.PAYLOAD_FORMAT_INVALID,
    )
)  # fmt: skip
_OF_A_RELEASE = frozenset((R.SUCCESS, R.PACKET_IDENTIFIER_NOT_FOUND))
_DISCONNECT_OF_BOTH = (
    R.NORMAL_DISCONNECTION, R.UNSPECIFIED_ERROR, R.MALFORMED_PACKET, R.PROTOCOL_ERROR,
    R.IMPLEMENTATION_SPECIFIC_ERROR, R.TOPIC_NAME_INVALID, R.RECEIVE_MAXIMUM_EXCEEDED,
    R.TOPIC_ALIAS_INVALID, R.PACKET_TOO_LARGE, R.MESSAGE_RATE_TOO_HIGH, R.QUOTA_EXCEEDED,
    R.ADMINISTRATIVE_ACTION, R.PAYLOAD_FORMAT_INVALID,
)  # fmt: skip

# Which end may put which reason code into which packet (MQTT5 §2.4 and the table of each packet).
REASON_CODES_ALLOWED: dict[tuple[PacketType, Sender], frozenset[ReasonCode]] = {
    (PacketType.CONNACK, Sender.SERVER): frozenset(
        (
            *_ALWAYS_POSSIBLE, R.SUCCESS, R.MALFORMED_PACKET, R.PROTOCOL_ERROR,
            R.UNSUPPORTED_PROTOCOL_VERSION, R.CLIENT_IDENTIFIER_NOT_VALID,
            R.BAD_USER_NAME_OR_PASSWORD, R.SERVER_UNAVAILABLE, R.SERVER_BUSY, R.BANNED,
            R.BAD_AUTHENTICATION_METHOD, R.TOPIC_NAME_INVALID, R.PACKET_TOO_LARGE,
            R.QUOTA_EXCEEDED, R.PAYLOAD_FORMAT_INVALID, R.RETAIN_NOT_SUPPORTED,
            R.QOS_NOT_SUPPORTED, R.USE_ANOTHER_SERVER, R.SERVER_MOVED, R.CONNECTION_RATE_EXCEEDED,
        )
    ),
    (PacketType.PUBACK, Sender.CLIENT): _OF_A_PUBLISH,
    (PacketType.PUBACK, Sender.SERVER): _OF_A_PUBLISH,
    (PacketType.PUBREC, Sender.CLIENT): _OF_A_PUBLISH,
    (PacketType.PUBREC, Sender.SERVER): _OF_A_PUBLISH,
    (PacketType.PUBREL, Sender.CLIENT): _OF_A_RELEASE,
    (PacketType.PUBREL, Sender.SERVER): _OF_A_RELEASE,
    (PacketType.PUBCOMP, Sender.CLIENT): _OF_A_RELEASE,
    (PacketType.PUBCOMP, Sender.SERVER): _OF_A_RELEASE,
    (PacketType.SUBACK, Sender.SERVER): frozenset(
        (
            *_ALWAYS_POSSIBLE, R.GRANTED_QOS_0, R.GRANTED_QOS_1, R.GRANTED_QOS_2,
            R.TOPIC_FILTER_INVALID, R.PACKET_IDENTIFIER_IN_USE, R.QUOTA_EXCEEDED,
            R.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, R.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
            R.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
        )
    ),
    (PacketType.UNSUBACK, Sender.SERVER): frozenset(
        (
            *_ALWAYS_POSSIBLE, R.SUCCESS, R.NO_SUBSCRIPTION_EXISTED, R.TOPIC_FILTER_INVALID,
            R.PACKET_IDENTIFIER_IN_USE,
        )
    ),
    (PacketType.DISCONNECT, Sender.CLIENT): frozenset(
        (*_DISCONNECT_OF_BOTH, R.DISCONNECT_WITH_WILL_MESSAGE)
    ),
    (PacketType.DISCONNECT, Sender.SERVER): frozenset(
        (
            *_DISCONNECT_OF_BOTH, R.NOT_AUTHORIZED, R.SERVER_BUSY, R.SERVER_SHUTTING_DOWN,
            R.BAD_AUTHENTICATION_METHOD, R.KEEP_ALIVE_TIMEOUT, R.SESSION_TAKEN_OVER,
            R.TOPIC_FILTER_INVALID, R.RETAIN_NOT_SUPPORTED, R.QOS_NOT_SUPPORTED,
            R.USE_ANOTHER_SERVER, R.SERVER_MOVED, R.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
            R.CONNECTION_RATE_EXCEEDED, R.MAXIMUM_CONNECT_TIME,
            R.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, R.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
        )
    ),
    (PacketType.AUTH, Sender.CLIENT): frozenset((R.CONTINUE_AUTHENTICATION, R.RE_AUTHENTICATE)),
    (PacketType.AUTH, Sender.SERVER): frozenset((R.SUCCESS, R.CONTINUE_AUTHENTICATION)),
}  # fmt: skip

# The refusals that 3.1.1 knows, in the order of their return codes from 1 on (MQTT311 §3.2.2.3).
CONNACK_REFUSALS_V3_1_1 = (
    R.UNSUPPORTED_PROTOCOL_VERSION,
    R.CLIENT_IDENTIFIER_NOT_VALID,
    R.SERVER_UNAVAILABLE,
    R.BAD_USER_NAME_OR_PASSWORD,
    R.NOT_AUTHORIZED,
)
SUBACK_FAILURE_V3_1_1 = 0x80

_RETURN_CODE_BY_REASON_CODE: dict[int, int] = {
    R.SUCCESS: 0,
    **{reason_code: number for number, reason_code in enumerate(CONNACK_REFUSALS_V3_1_1, start=1)},
    R.SERVER_BUSY: 3,
    R.QUOTA_EXCEEDED: 3,
    R.CONNECTION_RATE_EXCEEDED: 3,
    R.BANNED: 5,
}


def connack_return_code(reason_code: int) -> int | None:
    """The 3.1.1 CONNACK return code that says what `reason_code` says.

    None when none does: the server then closes the connection without a CONNACK.

    Spec: MQTT311 §3.2.2.3 [MQTT311-3.2.2-6]
    """
    return _RETURN_CODE_BY_REASON_CODE.get(reason_code)


def connack_reason_code(return_code: int) -> ReasonCode:
    """The reason code that a 3.1.1 CONNACK return code stands for.

    Raises:
        MalformedPacket: the return code is reserved.
    """
    if return_code == 0:
        return ReasonCode.SUCCESS
    if return_code > len(CONNACK_REFUSALS_V3_1_1):
        raise MalformedPacket(f"return code {return_code} is reserved in 3.1.1")
    return CONNACK_REFUSALS_V3_1_1[return_code - 1]


def suback_return_code(reason_code: int) -> int:
    """The 3.1.1 SUBACK return code for `reason_code`: the granted QoS, or 0x80 for every failure.

    Spec: MQTT311 §3.9.3
    """
    return min(reason_code, SUBACK_FAILURE_V3_1_1)


def suback_reason_code(return_code: int) -> ReasonCode:
    """The reason code that a 3.1.1 SUBACK return code stands for.

    Raises:
        MalformedPacket: the return code is reserved.
    """
    if return_code > ReasonCode.GRANTED_QOS_2 and return_code != SUBACK_FAILURE_V3_1_1:
        # [MQTT311-3.9.3-2]
        raise MalformedPacket(f"return code 0x{return_code:02X} is reserved in 3.1.1")
    return ReasonCode(return_code)


def check_own_reason_code(reason_code: ReasonCode, packet_type: PacketType) -> None:
    """Refuse to write a reason code that neither end may put into such a packet.

    Raises:
        ProtocolError: neither may.
    """
    for sender in Sender:
        if reason_code in REASON_CODES_ALLOWED.get((packet_type, sender), ()):
            return
    raise ProtocolError(f"{packet_type.name} can't say {reason_code!r}")


def check_reason_code(value: int, packet_type: PacketType, sender: Sender) -> ReasonCode:
    """The reason code of that number, if `sender` may put it into such a packet.

    Raises:
        ProtocolError: it may not, or there is none of that number.

    Spec: [MQTT5-3.2.2-8] [MQTT5-3.4.2-1] [MQTT5-3.5.2-1] [MQTT5-3.6.2-1] [MQTT5-3.7.2-1]
    [MQTT5-3.9.3-2] [MQTT5-3.11.3-2] [MQTT5-3.14.2-1] [MQTT5-3.15.2-1]
    """
    if value not in REASON_CODES_ALLOWED[packet_type, sender]:
        raise ProtocolError(f"a {sender}'s {packet_type.name} can't say 0x{value:02X}")
    return ReasonCode(value)
