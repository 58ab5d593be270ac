"""What a client publishes: when it may be stored, and which acknowledgement follows the commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.errors import ProtocolError
from gateway.mqtt import (
    NO_PROPERTIES,
    ProtocolVersion,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    encode_properties,
)
from gateway.session.answering import Answers, reason_properties
from gateway.session.effects import Append, Effect, Release, Send
from gateway.session.inputs import Appended, AppendRefused, PublishBatch
from gateway.session.options import SessionOptions
from gateway.session.state import SessionState

PUBACK_HEADER = b"\x40\x02"
PUBREC_HEADER = b"\x50\x02"
PUBCOMP_HEADER = b"\x70\x02"
NO_PACKET_ID = b"\x00\x00"
# Sending the same again would change nothing.
FINAL_REFUSALS = (ReasonCode.NOT_AUTHORIZED, ReasonCode.PAYLOAD_FORMAT_INVALID)


class Receiving:
    """The receiving side of one connection.

    `_underway` are QoS 2 packets whose commit has not come back: a repetition of one is answered by
    the PUBREC of the first. A repetition of what an earlier connection has sent is appended without
    its message, so that its PUBREC follows the commit of the first. `_unfinished` are those that
    had their PUBREC and not their PUBCOMP on this connection, `_releasing` those whose PUBCOMP
    waits for the commit that forgets them.

    Spec: MQTT5 §3.3.4, §4.3 [MQTT5-3.3.4-1] [MQTT5-2.2.1-5] [MQTT5-4.3.2-5] [MQTT5-4.3.3-9]
    [MQTT5-4.3.3-12] [MQTT5-4.3.3-13], MQTT311 §3.3.4, §4.3 [MQTT311-3.3.4-1] [MQTT311-2.3.1-6]
    [MQTT311-4.3.2-2]
    """

    def __init__(
        self,
        options: SessionOptions,
        version: ProtocolVersion,
        state: SessionState,
        answers: Answers | None = None,
        *,
        wants_receipts: bool = False,
    ) -> None:
        self._options = options
        self._version = version
        self._state = state
        self._answers = answers or Answers(version)
        self._wants_receipts = wants_receipts
        self._topics_by_alias: dict[int, str] = {}
        self._alias_bytes = 0
        self._uncommitted = 0
        self._underway: dict[bytes, None] = {}
        self._unfinished: dict[bytes, None] = {}
        self._releasing: dict[bytes, None] = {}

    def batch_of(self, publish: Publish) -> PublishBatch:
        """Make a batch of one PUBLISH that came the general way, its topic alias resolved.

        Raises:
            ProtocolError: the alias is beyond what was offered, or stands for nothing (0x94).

        Spec: MQTT5 §3.3.2.3.4 [MQTT5-3.3.2-7] [MQTT5-3.3.2-8] [MQTT5-3.3.2-9] [MQTT5-3.3.2-12]
        """
        topic = self._topic_of(publish)
        properties = publish.properties
        encoded = b""
        if properties is not NO_PROPERTIES:
            encoded = encode_properties(properties._replace(topic_alias=None))
        packet_id = publish.packet_id.to_bytes(2, "big")
        return PublishBatch(
            [topic.encode()],
            [publish.payload],
            [publish.qos << 1 | int(publish.retain) | int(publish.dup) << 3],
            [packet_id] if publish.qos == 1 else (),
            [encoded] if encoded else None,
            [packet_id] if publish.qos > 1 else (),
        )

    def _topic_of(self, publish: Publish) -> str:
        alias = publish.properties.topic_alias
        if alias is None:
            return publish.topic
        if not 0 < alias <= self._options.topic_alias_maximum:
            raise ProtocolError(f"topic alias {alias}", ReasonCode.TOPIC_ALIAS_INVALID)
        if publish.topic:
            self._learn(alias, publish.topic)
        elif alias not in self._topics_by_alias:
            raise ProtocolError(f"topic alias {alias} is not known", ReasonCode.PROTOCOL_ERROR)
        return self._topics_by_alias[alias]

    def _learn(self, alias: int, topic: str) -> None:
        earlier = self._topics_by_alias.get(alias, "")
        self._alias_bytes += len(topic.encode()) - len(earlier.encode())
        most = self._options.topic_alias_bytes_max
        if self._alias_bytes > most:
            message = f"the topics behind your aliases have more than {most} bytes together"
            raise ProtocolError(message, ReasonCode.QUOTA_EXCEEDED)
        self._topics_by_alias[alias] = topic

    def accept(self, batch: PublishBatch) -> list[Effect] | tuple[ReasonCode, str]:
        """Take a batch that is to be stored; a reason ends the connection."""
        if NO_PACKET_ID in batch.packet_ids:
            # [MQTT5-2.2.1-3] [MQTT311-2.3.1-1]
            return ReasonCode.PROTOCOL_ERROR, "PUBLISH with the packet identifier 0"
        for packet_id in batch.received_ids:
            if packet_id in self._state.received:
                # Not a new message, but a repetition of one that is stored [MQTT5-4.3.3-10].
                return [Send(PUBREC_HEADER + packet_id)]
            if packet_id in self._underway:
                return []
            self._underway[packet_id] = None
            if packet_id in self._state.underway:
                batch = batch.only([])
            self._state.underway[packet_id] = None
        self._uncommitted += len(batch.packet_ids) + len(batch.received_ids)
        if self._version >= ProtocolVersion.V5 and self._is_beyond_receive_maximum():
            # [MQTT5-3.3.4-7]
            most = self._options.receive_maximum
            return ReasonCode.RECEIVE_MAXIMUM_EXCEEDED, f"more than {most} are unacknowledged"
        return [Append(replace(batch, wants_receipts=True) if self._wants_receipts else batch)]

    def _is_beyond_receive_maximum(self) -> bool:
        # The client counts anew with each connection (MQTT5 §4.9), so what it left behind is free.
        return self._uncommitted + len(self._unfinished) > self._options.receive_maximum

    def acknowledge(self, appended: Appended) -> list[Effect]:
        """PUBACK or PUBREC every packet of a batch, in the order in which they came.

        Spec: MQTT5 §4.3.2 [MQTT5-4.3.2-4], §4.3.3 [MQTT5-4.3.3-8], MQTT311 §4.6 [MQTT311-4.6.0-2]
        """
        packet_ids, received_ids = appended.packet_ids, appended.received_ids
        if appended.place is not None:
            return self._acknowledge_with_receipt(appended, appended.place)
        self._uncommitted -= len(packet_ids) + len(received_ids)
        answers = b""
        if packet_ids:
            answers = PUBACK_HEADER + PUBACK_HEADER.join(packet_ids)
        for packet_id in received_ids:
            if self._receive(packet_id):
                answers += PUBREC_HEADER + packet_id
        return [Send(answers)] if answers else []

    def _receive(self, packet_id: bytes) -> bool:
        """Note that a QoS 2 packet is stored; False when what it repeats was refused meanwhile."""
        state = self._state
        self._underway.pop(packet_id, None)
        if packet_id not in state.underway and packet_id not in state.received:
            return False
        state.underway.pop(packet_id, None)
        state.forgetting.pop(packet_id, None)
        state.received[packet_id] = None
        self._unfinished[packet_id] = None
        return True

    def _acknowledge_with_receipt(
        self, appended: Appended, place: tuple[str, int, int]
    ) -> list[Effect]:
        """Acknowledge one packet and tell where in the log its message lies."""
        stream, partition, offset = place
        pairs: tuple[tuple[str, str], ...] = (
            ("penstock-stream", stream),
            ("penstock-partition", str(partition)),
            ("penstock-offset", str(offset)),
        )
        if appended.durability:
            pairs += (("penstock-durability", appended.durability),)
        properties = NO_PROPERTIES._replace(user_properties=pairs)
        # [MQTT5-3.1.2-29] [MQTT5-3.4.2-3] [MQTT5-3.5.2-3]: in `_encode`
        answers = [
            self._encode(Puback(number, properties=properties))
            for number in _numbers(appended.packet_ids)
        ]
        for number in _numbers(appended.received_ids):
            self._receive(number.to_bytes(2, "big"))
            answers.append(self._encode(Pubrec(number, properties=properties)))
        self._uncommitted -= len(answers)
        return [Send(b"".join(answers))]

    def refuse(self, refused: AppendRefused) -> list[Effect]:
        """Say that a batch was not stored, to who can hear it.

        Spec: MQTT5 §3.4.2.1, §3.5.2.1
        """
        self._uncommitted -= len(refused.packet_ids) + len(refused.received_ids)
        for packet_id in refused.received_ids:
            self._underway.pop(packet_id, None)
            self._state.underway.pop(packet_id, None)
        if self._version < ProtocolVersion.V5:
            return self._refuse_v3_1_1(refused)
        for packet_id in refused.received_ids:
            # Its next use is a new message, even if this was a repetition of one that is stored.
            self._state.received.pop(packet_id, None)
        code = ReasonCode(refused.reason_code)
        why = reason_properties(refused.reason)
        answers = [
            *(self._encode(Puback(number, code, why)) for number in _numbers(refused.packet_ids)),
            *(self._encode(Pubrec(number, code, why)) for number in _numbers(refused.received_ids)),
        ]
        return [Send(b"".join(answers))] if answers else []

    def _refuse_v3_1_1(self, refused: AppendRefused) -> list[Effect]:
        """3.1.1 can't say no: silence makes the client send again, a plain acknowledgement stop.

        Spec: MQTT311 §3.3.5 [MQTT311-3.3.5-2]
        """
        if refused.reason_code not in FINAL_REFUSALS:
            return []
        answers = b"".join(PUBACK_HEADER + packet_id for packet_id in refused.packet_ids)
        answers += b"".join(PUBREC_HEADER + packet_id for packet_id in refused.received_ids)
        return [Send(answers)] if answers else []

    def release(self, pubrel: Pubrel) -> list[Effect]:
        """Forget a QoS 2 packet that the client has released; PUBCOMP follows when that is durable.

        Spec: MQTT5 §4.3.3 [MQTT5-4.3.3-11], MQTT311 §4.3.3 [MQTT311-4.3.3-2]
        """
        packet_id = pubrel.packet_id.to_bytes(2, "big")
        if packet_id in self._releasing:
            return []
        state = self._state
        # An earlier connection may have released it, and its commit may still be to come.
        if packet_id in state.received or packet_id in state.forgetting:
            state.received.pop(packet_id, None)
            state.forgetting[packet_id] = None
            self._releasing[packet_id] = None
            return [Release(packet_id)]
        if self._version < ProtocolVersion.V5:
            return [Send(PUBCOMP_HEADER + packet_id)]
        missing = Pubcomp(pubrel.packet_id, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)
        return [Send(self._encode(missing))]

    def complete(self, packet_id: bytes) -> list[Effect]:
        """PUBCOMP a packet that is forgotten; its identifier may be used again."""
        self._releasing.pop(packet_id, None)
        self._state.forgetting.pop(packet_id, None)
        self._unfinished.pop(packet_id, None)
        return [Send(PUBCOMP_HEADER + packet_id)]

    def _encode(self, packet: Puback | Pubrec | Pubcomp) -> bytes:
        return self._answers.encode(packet) or b""


def _numbers(packet_ids: Sequence[bytes]) -> list[int]:
    return [int.from_bytes(packet_id, "big") for packet_id in packet_ids]
