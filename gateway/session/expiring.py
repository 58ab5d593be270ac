"""How long a message has left, and what its properties say of it."""

from __future__ import annotations

from gateway.mqtt import decode_publish_properties, encode_properties

SECOND_MS = 1_000
MESSAGE_EXPIRY_INTERVAL = b"\x02"


def current_properties(
    properties: bytes, arrival_ms: int, now_ms: int, *, is_sent: bool = False
) -> bytes | None:
    """The properties of a message that has waited since `arrival_ms`; None when it has expired.

    One that `is_sent` already, and is to be sent again, does not expire any more.

    Spec: MQTT5 §3.3.2.3.3 [MQTT5-3.3.2-5] [MQTT5-3.3.2-6], §4.3.3 [MQTT5-4.3.3-7]
    """
    # Without its identifier anywhere among the bytes there is no expiry, which is the common case.
    if MESSAGE_EXPIRY_INTERVAL not in properties:
        return properties
    decoded = decode_publish_properties(properties)
    expiry_s = decoded.message_expiry_interval_s
    if expiry_s is None:
        return properties
    waited_s = max(0, now_ms - arrival_ms) // SECOND_MS
    if waited_s >= expiry_s:
        if not is_sent:
            return None
        waited_s = expiry_s
    return encode_properties(decoded._replace(message_expiry_interval_s=expiry_s - waited_s))
