"""Packets to bytes: hands each packet to the codec of its family.

Messages to subscribers take the short way through `delivery`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.errors import MqttError
from gateway.mqtt.closing import encode_auth, encode_disconnect, encode_pingreq, encode_pingresp
from gateway.mqtt.connecting import encode_connack, encode_connect
from gateway.mqtt.packet_types import ProtocolVersion
from gateway.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from gateway.mqtt.properties import NO_PROPERTIES
from gateway.mqtt.publishing import encode_acknowledgement, encode_publish
from gateway.mqtt.subscribing import (
    encode_suback,
    encode_subscribe,
    encode_unsuback,
    encode_unsubscribe,
)

ENCODERS: dict[type[Packet], Callable[[Any, int], bytes]] = {
    Connect: encode_connect,
    Connack: encode_connack,
    Publish: encode_publish,
    Puback: encode_acknowledgement,
    Pubrec: encode_acknowledgement,
    Pubrel: encode_acknowledgement,
    Pubcomp: encode_acknowledgement,
    Subscribe: encode_subscribe,
    Suback: encode_suback,
    Unsubscribe: encode_unsubscribe,
    Unsuback: encode_unsuback,
    Pingreq: encode_pingreq,
    Pingresp: encode_pingresp,
    Disconnect: encode_disconnect,
    Auth: encode_auth,
}


def encode_packet(packet: Packet, version: int) -> bytes:
    """Write a packet in the given version, as short as it can be.

    3.1.1 gets the return code for a reason code in CONNACK and SUBACK, and no reason codes in
    UNSUBACK. Nothing else is left out silently.

    Raises:
        ValueError: the packet is against the rules, or says what that version can't say. (It is no
            MqttError: the fault is ours, not the client's.)
    """
    properties = getattr(packet, "properties", NO_PROPERTIES)
    if version != ProtocolVersion.V5 and properties != NO_PROPERTIES:
        raise ValueError(f"3.1.1 has no properties: {packet}")
    try:
        return ENCODERS[type(packet)](packet, version)
    except MqttError as error:
        raise ValueError(f"{error}: {packet}") from error
