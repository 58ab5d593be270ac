"""A subscriber that sees what the server delivers, where the log can't be read; sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from firmware_sim.effects import Effect
from firmware_sim.line import Line, LineOptions, Phase
from gateway.mqtt import (
    Puback,
    Publish,
    ServerPacket,
    Suback,
    Subscribe,
    Subscription,
    Unsubscribe,
    encode_packet,
)

PACKET_ID = 1
FAILURE = 0x80


class Witness:
    """Subscribes at QoS 1 on every connection, acknowledges and passes on; an actor.

    Its session outlives its connections: what it misses meanwhile is delivered when it is back.
    """

    def __init__(
        self,
        options: LineOptions,
        topic_filters: Sequence[str],
        deliver: Callable[[str, bytes], None],
        key: int,
    ) -> None:
        self.line = Line(options, key)
        self.is_ready = False
        self.granted_on = 0
        """The number of the connection on which the server first granted the subscription: from
        then on it owes deliveries; 0 as long as it has not."""
        self.refusal = ""
        self.deliveries = 0
        self._version = options.version
        self._topic_filters = tuple(topic_filters)
        self._deliver = deliver

    @property
    def next_due_ms(self) -> int | None:
        return self.line.next_due_ms

    def advance(self, now_ms: int) -> list[Effect]:
        return self.line.advance(now_ms)

    def opened(self, now_ms: int) -> list[Effect]:
        return self.line.opened(now_ms)

    def lost(self, now_ms: int, why: str) -> None:
        self.is_ready = False
        self.line.lost(now_ms, why)

    def block(self, now_ms: int, *, is_blocked: bool) -> list[Effect]:
        return []

    def received(self, arrived: bytes, now_ms: int) -> list[Effect]:
        """Take deliveries; once the connection is up, subscribe."""
        was_up = self.line.phase is Phase.UP
        arrivals, effects = self.line.received(arrived, now_ms)
        if self.line.phase is not Phase.UP:
            self.is_ready = False
            return effects
        if not was_up:
            effects += self._subscribe(now_ms)
        answers = b"".join(self._answer(packet) for packet in arrivals.packets)
        return [*effects, *self.line.say(answers, now_ms)]

    def close(self, now_ms: int) -> list[Effect]:
        """Unsubscribe and leave."""
        effects: list[Effect] = []
        if self.line.phase is Phase.UP:
            packet = Unsubscribe(PACKET_ID, self._topic_filters)
            effects += self.line.say(encode_packet(packet, self._version), now_ms)
        return effects + self.line.close(now_ms)

    def _subscribe(self, now_ms: int) -> list[Effect]:
        subscriptions = tuple(
            Subscription(topic_filter, maximum_qos=1) for topic_filter in self._topic_filters
        )
        packet = Subscribe(PACKET_ID, subscriptions)
        self.line.ask(now_ms)
        return self.line.say(encode_packet(packet, self._version), now_ms)

    def _answer(self, packet: ServerPacket) -> bytes:
        if isinstance(packet, Publish):
            self.deliveries += 1
            self._deliver(packet.topic, packet.payload)
            if packet.qos:
                return encode_packet(Puback(packet.packet_id), self._version)
        elif isinstance(packet, Suback):
            failed = [code.name for code in packet.reason_codes if code >= FAILURE]
            self.refusal = ", ".join(failed)
            self.is_ready = not failed
            if self.is_ready and not self.granted_on:
                self.granted_on = self.line.connects
        return b""
