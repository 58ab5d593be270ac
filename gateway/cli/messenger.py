"""One message to a running gateway, over MQTT as anybody would send it."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from gateway.errors import MqttError, PenstockError
from gateway.mqtt import (
    Connack,
    Connect,
    Disconnect,
    ProtocolVersion,
    Puback,
    Publish,
    ReasonCode,
    Sender,
    decode_packet,
    encode_packet,
)

PACKET_BYTES_MAX = 1 << 16
PATIENCE_S = 10.0
V5 = ProtocolVersion.V5
FAILURE = 0x80
Answer = TypeVar("Answer", Connack, Puback)


class NotDelivered(PenstockError):
    """The gateway could not be reached, or refused the message."""


async def deliver(host: str, port: int, topic: str, payload: bytes, who: str) -> None:
    """Publish one message at QoS 1; returns when the gateway has it in its log.

    Raises:
        NotDelivered: nobody listens there, or the message was refused; says why.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            await _deliver(host, port, Publish(topic, payload, qos=1, packet_id=1), who)
    except TimeoutError:
        raise NotDelivered(f"the gateway at {host}:{port} doesn't answer") from None
    except OSError as error:
        raise NotDelivered(f"no gateway at {host}:{port}: {error.strerror or error}") from None


async def _deliver(host: str, port: int, message: Publish, who: str) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(encode_packet(Connect(who), V5))
        await _expect(reader, Connack)
        writer.write(encode_packet(message, V5))
        await _expect(reader, Puback)
        writer.write(encode_packet(Disconnect(), V5))
        await writer.drain()
    finally:
        writer.close()
        await writer.wait_closed()


async def _expect(reader: asyncio.StreamReader, kind: type[Answer]) -> None:
    """Wait for one answer; what comes before it is nothing that was asked for."""
    buffer = b""
    while True:
        try:
            found = decode_packet(buffer, 0, V5, PACKET_BYTES_MAX, Sender.SERVER)
        except MqttError as error:
            raise NotDelivered(f"the other end is no gateway: {error}") from error
        if found is None:
            more = await reader.read(PACKET_BYTES_MAX)
            if not more:
                raise NotDelivered("the gateway closed the connection")
            buffer += more
            continue
        packet, end = found
        if isinstance(packet, kind):
            _check(packet.reason_code)
            return
        buffer = buffer[end:]


def _check(reason_code: ReasonCode) -> None:
    if reason_code >= FAILURE:
        reason = reason_code.name.lower().replace("_", " ")
        raise NotDelivered(f"the gateway refused it: {reason}")
