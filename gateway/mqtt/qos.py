"""The quality of service of a message: at most once, at least once, exactly once."""

from __future__ import annotations

from gateway.errors import MalformedPacket

QOS_MAX = 2


def check_qos(qos: int, what: str) -> None:
    """Refuse the fourth value that two bits can have.

    Raises:
        MalformedPacket: it is none of 0, 1 and 2.

    Spec: MQTT5 §3.3.1.2, MQTT311 §3.3.1.2
    """
    if not 0 <= qos <= QOS_MAX:
        raise MalformedPacket(f"the QoS of {what} is {qos}; there are 0, 1 and 2")
