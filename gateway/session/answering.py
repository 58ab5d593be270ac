"""What the gateway says to a client: each packet as large as that client takes, and no larger.

Reasons in words are for whoever reads the client's log: they go where the client wants them, and
are left out where they would not fit.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.mqtt import (
    NO_PROPERTIES,
    REASON_CODES_ALLOWED,
    Connack,
    Disconnect,
    PacketType,
    Properties,
    ProtocolVersion,
    Puback,
    Pubcomp,
    Pubrec,
    Pubrel,
    ReasonCode,
    Sender,
    Suback,
    Unsuback,
    encode_packet,
    encode_refusal,
)

Answer = Connack | Puback | Pubrec | Pubrel | Pubcomp | Suback | Unsuback | Disconnect

REASON_CHARACTERS_MAX = 200
RETRY_PROPERTY = "penstock-retry-after"
# What stands for a character that would spoil a log or a terminal.
UNPRINTABLE = "?"


class Answers:
    """Writes the answers to one client.

    `wants_reasons` is what its CONNECT says about problem information; CONNACK and DISCONNECT may
    give a reason all the same.

    Spec: MQTT5 §3.1.2.11.4, §3.1.2.11.7
    """

    __slots__ = ("_packet_bytes_max", "_version", "wants_reasons")

    def __init__(
        self,
        version: ProtocolVersion,
        packet_bytes_max: int | None = None,
        *,
        wants_reasons: bool = True,
    ) -> None:
        self._version = version
        self._packet_bytes_max = packet_bytes_max
        self.wants_reasons = wants_reasons

    def encode(self, packet: Answer) -> bytes | None:
        """Write an answer, without what is too much for the client; None when it takes no such.

        Spec: MQTT5 §3.1.2.11.4 [MQTT5-3.1.2-24] [MQTT5-3.1.2-29]
        """
        properties = packet.properties
        if properties is NO_PROPERTIES or self._version < ProtocolVersion.V5:
            bare = (
                packet if properties is NO_PROPERTIES else replace(packet, properties=NO_PROPERTIES)
            )
            return self._fitting(encode_packet(bare, self._version))
        if self.wants_reasons or isinstance(packet, Connack | Disconnect):
            found = self._fitting(encode_packet(packet, self._version))
            if found is not None:
                return found
        # [MQTT5-3.2.2-19] [MQTT5-3.2.2-20] [MQTT5-3.4.2-2] [MQTT5-3.4.2-3] [MQTT5-3.5.2-2]
        # [MQTT5-3.5.2-3] [MQTT5-3.6.2-2] [MQTT5-3.6.2-3] [MQTT5-3.7.2-2] [MQTT5-3.7.2-3]
        # [MQTT5-3.9.2-1] [MQTT5-3.9.2-2] [MQTT5-3.11.2-1] [MQTT5-3.11.2-2] [MQTT5-3.14.2-3]
        # [MQTT5-3.14.2-4]
        plain = properties._replace(reason_string=None, user_properties=())
        return self._fitting(encode_packet(replace(packet, properties=plain), self._version))

    def _fitting(self, encoded: bytes) -> bytes | None:
        if self._packet_bytes_max is not None and len(encoded) > self._packet_bytes_max:
            return None
        return encoded

    def refusal(
        self, reason_code: int, version: int, reason: str = "", retry_after_s: int = 0
    ) -> bytes:
        """The CONNACK that refuses a CONNECT for `version`; empty where the client can't be told.

        Spec: MQTT5 §3.2.2, MQTT311 §3.2.2.3
        """
        for properties in (retry_properties(reason, retry_after_s), NO_PROPERTIES):
            found = self._fitting(encode_refusal(reason_code, version, properties))
            if found is not None:
                return found
        return b""

    def farewell(self, reason_code: int, reason: str = "") -> bytes:
        """The DISCONNECT that ends a conversation; empty where the client can't be told.

        Spec: MQTT5 §3.14 [MQTT5-3.14.2-1]
        """
        if self._version < ProtocolVersion.V5:
            return b""
        said = ReasonCode(reason_code)
        if said not in REASON_CODES_ALLOWED[PacketType.DISCONNECT, Sender.SERVER]:
            said = ReasonCode.UNSPECIFIED_ERROR
        return self.encode(Disconnect(said, reason_properties(reason))) or b""


def reason_properties(text: str) -> Properties:
    """A reason in words, as a property: short, and without what would spoil a log."""
    if not text:
        return NO_PROPERTIES
    shown = text[:REASON_CHARACTERS_MAX]
    printable = "".join(one if one.isprintable() else UNPRINTABLE for one in shown)
    return NO_PROPERTIES._replace(reason_string=printable)


def retry_properties(text: str, retry_after_s: int) -> Properties:
    """A reason in words, and when to try again: for people, and for who knows the property."""
    if not retry_after_s:
        return reason_properties(text)
    reason = reason_properties(f"{text}; connect again in {retry_after_s} s")
    return reason._replace(user_properties=((RETRY_PROPERTY, str(retry_after_s)),))
