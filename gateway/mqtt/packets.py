"""The control packets of both protocol versions as values; bytes are the codec's affair.

A packet of 3.1.1 is the same class with the MQTT 5 fields at their defaults. Reason codes are those
of MQTT 5 throughout: the codec translates the return codes of 3.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.mqtt.packet_types import V3_1, ProtocolVersion
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reason_codes import ReasonCode


@dataclass(frozen=True, slots=True)
class Will:
    """The message that the server publishes for a client that is gone."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Connect:
    """A client asks to be served; `clean_start` is Clean Session in 3.1.1.

    MQTT 3.1 is version 3.1.1 with `is_v3_1`.
    """

    client_id: str
    version: ProtocolVersion = ProtocolVersion.V5
    clean_start: bool = True
    keep_alive_s: int = 0
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = NO_PROPERTIES
    is_v3_1: bool = False

    @property
    def level(self) -> int:
        """The protocol level, as CONNECT carries it."""
        return V3_1 if self.is_v3_1 else self.version


@dataclass(frozen=True, slots=True)
class Connack:
    """The server accepts or refuses a CONNECT."""

    session_present: bool = False
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Publish:
    """An application message on its way; `packet_id` is 0 exactly when `qos` is 0."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    packet_id: int = 0
    retain: bool = False
    dup: bool = False
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Puback:
    """The answer to a PUBLISH of QoS 1."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pubrec:
    """The answer to a PUBLISH of QoS 2."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pubrel:
    """The answer to a PUBREC."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pubcomp:
    """The answer to a PUBREL."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic filter of a SUBSCRIBE, with its subscription options; 3.1.1 knows only the QoS."""

    topic_filter: str
    maximum_qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A client asks for messages."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Suback:
    """The answer to a SUBSCRIBE: one reason code a topic filter, in its order."""

    packet_id: int
    reason_codes: tuple[ReasonCode, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """A client wants no more messages of some topic filters."""

    packet_id: int
    topic_filters: tuple[str, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsuback:
    """The answer to an UNSUBSCRIBE: one reason code a topic filter, in its order; none in 3.1.1."""

    packet_id: int
    reason_codes: tuple[ReasonCode, ...] = ()
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pingreq:
    """A client shows that it is alive."""


@dataclass(frozen=True, slots=True)
class Pingresp:
    """The answer to a PINGREQ."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The last packet of a connection; in 3.1.1 only a client sends it, without a reason."""

    reason_code: ReasonCode = ReasonCode.NORMAL_DISCONNECTION
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Auth:
    """One step of an enhanced authentication; MQTT 5 only."""

    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


# What either end may send once the CONNECT has been sent.
ClientPacket = (
    Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Unsubscribe
    | Pingreq
    | Disconnect
    | Auth
)
ServerPacket = (
    Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Suback
    | Unsuback
    | Pingresp
    | Disconnect
    | Auth
)
Packet = Connect | ClientPacket | ServerPacket
