"""What a CONNECT asks for, and what it gets: why it is refused, or what its CONNACK offers."""

from __future__ import annotations

from gateway.mqtt import Connect, Properties, ProtocolVersion, ReasonCode
from gateway.session.options import SessionOptions

KEEP_ALIVE_S_MAX = 0xFFFF
SECOND_MS = 1_000
# What the gateway itself publishes has client ids such as $rules.
RESERVED_PREFIX = "$"


def check_connect(connect: Connect, options: SessionOptions) -> tuple[ReasonCode, str] | None:
    """Why a client can't be served, if it can't.

    Spec: MQTT5 §3.1.4 [MQTT5-3.1.4-2] [MQTT5-3.1.3-5], MQTT311 §3.1.3.1 [MQTT311-3.1.3-5]
    """
    if connect.properties.authentication_method is not None:
        # No enhanced authentication is offered [MQTT5-4.12.0-1].
        return ReasonCode.BAD_AUTHENTICATION_METHOD, "no authentication method is offered"
    if connect.client_id.startswith(RESERVED_PREFIX):
        # [MQTT5-3.1.3-8] [MQTT311-3.1.3-9]
        return ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "names that begin with $ are reserved"
    if len(connect.client_id.encode()) > options.client_id_bytes_max:
        longest = f"a client identifier has at most {options.client_id_bytes_max} bytes"
        return ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, longest
    return None


def granted_expiry_ms(connect: Connect, options: SessionOptions) -> int:
    """How long the session outlives its connection, which may be less than was asked."""
    longest = options.session_expiry_ms_max
    if connect.version < ProtocolVersion.V5:
        # Clean Session 0 asks for a session that lives on [MQTT311-3.1.2-4].
        return 0 if connect.clean_start else longest
    asked_s = connect.properties.session_expiry_interval_s or 0
    return min(asked_s * SECOND_MS, longest)


def granted_keep_alive_s(connect: Connect, options: SessionOptions) -> int:
    """What the client asked for; who can be told otherwise gets `keep_alive_s_max` at most.

    Spec: MQTT5 §3.2.2.3.14 [MQTT5-3.2.2-22]
    Why: decisions/0008
    """
    longest = options.keep_alive_s_max
    if connect.version < ProtocolVersion.V5 or longest >= KEEP_ALIVE_S_MAX:
        return connect.keep_alive_s
    # Zero asks for none, which is longer than any.
    return min(connect.keep_alive_s or longest, longest)


def offer(connect: Connect, options: SessionOptions, assigned_client_id: str) -> Properties:
    """What the CONNACK tells an MQTT 5 client; nothing to one of 3.1.1.

    Spec: MQTT5 §3.2.2.3 [MQTT5-3.1.2-28] [MQTT5-4.12.0-6]
    """
    if connect.version < ProtocolVersion.V5:
        return Properties()
    granted_s = granted_expiry_ms(connect, options) // SECOND_MS
    asked_s = connect.properties.session_expiry_interval_s or 0
    keep_alive_s = granted_keep_alive_s(connect, options)
    return Properties(
        session_expiry_interval_s=None if granted_s == asked_s else granted_s,
        receive_maximum=options.receive_maximum,
        maximum_packet_size=options.packet_bytes_max,
        server_keep_alive_s=None if keep_alive_s == connect.keep_alive_s else keep_alive_s,
        # [MQTT5-3.2.2-16]
        assigned_client_id=None if connect.client_id else assigned_client_id,
        topic_alias_maximum=options.topic_alias_maximum,
    )
