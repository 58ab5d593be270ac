"""A client that publishes: a line and an outbox, joined so that no unacknowledged one is lost.

What there is to publish is the affair of `device` (its sensors) and `player` (a recording).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from firmware_sim.effects import Effect
from firmware_sim.line import Line, LineOptions, Phase
from firmware_sim.outbox import Journal, Outbox, Outgoing
from gateway.mqtt import (
    ProtocolVersion,
    Puback,
    Publish,
    ServerPacket,
    Subscribe,
    Subscription,
    encode_packet,
)

MAIL_MAX = 1_000


class Publisher:
    """Sends what is offered, in order, and again with DUP after each lost connection."""

    def __init__(
        self,
        options: LineOptions,
        journal: Journal,
        key: int,
        *,
        waiting_max: int,
        in_flight_max: int,
    ) -> None:
        self.line = Line(options, key)
        self.outbox = Outbox(journal, waiting_max=waiting_max, in_flight_max=in_flight_max)
        self._is_v5 = options.version is ProtocolVersion.V5
        self._in_flight_max = in_flight_max
        self.is_blocked = False
        """Whether the socket takes no more."""
        self.filters: Sequence[str] = ()
        """What is subscribed to, at QoS 1, on every connection."""
        self.mail: deque[Publish] = deque(maxlen=MAIL_MAX)
        """What the server delivered and `accept` has not taken yet."""
        self._version = options.version

    @property
    def is_idle(self) -> bool:
        """Whether everything that was offered has found its end."""
        return not self.outbox.waiting and not self.outbox.in_flight

    def advance(self, now_ms: int) -> list[Effect]:
        return self.line.advance(now_ms)

    def opened(self, now_ms: int) -> list[Effect]:
        self.is_blocked = False
        return self.line.opened(now_ms)

    def lost(self, now_ms: int, why: str) -> None:
        self.line.lost(now_ms, why)

    def block(self, now_ms: int, *, is_blocked: bool) -> list[Effect]:
        """The shell's socket is full, or has room again."""
        self.is_blocked = is_blocked
        return self._send_more(now_ms)

    def offer(self, outgoings: Iterable[Outgoing], now_ms: int) -> list[Effect]:
        """Publish messages as soon as the connection and the window allow."""
        for outgoing in outgoings:
            self.outbox.offer(outgoing)
        return self._send_more(now_ms)

    def offer_first(self, outgoing: Outgoing, now_ms: int) -> list[Effect]:
        """Publish a message that is no reading, ahead of all readings."""
        self.outbox.offer_first(outgoing)
        return self._send_more(now_ms)

    def tell(self, topic: str, payload: bytes, now_ms: int) -> list[Effect]:
        """Publish at QoS 0 if there is a connection."""
        if self.line.phase is not Phase.UP:
            return []
        return self.line.say(encode_packet(Publish(topic, payload), self._version), now_ms)

    def accept(self, packet: Publish, now_ms: int) -> list[Effect]:
        """Acknowledge a delivery, now that the device has taken it in."""
        if not packet.qos or self.line.phase is not Phase.UP:
            return []
        return self.line.say(encode_packet(Puback(packet.packet_id), self._version), now_ms)

    def received(self, arrived: bytes, now_ms: int) -> list[Effect]:
        """Take bytes from the server: acknowledgements make room for more."""
        was_up = self.line.phase is Phase.UP
        arrivals, effects = self.line.received(arrived, now_ms)
        for packet_id in arrivals.acknowledged:
            self.outbox.acknowledge(packet_id, now_ms)
        for packet_id in arrivals.refused:
            self.outbox.refuse(packet_id)
        if self.filters and arrivals.packets:
            self._collect(arrivals.packets)
        if self.line.phase is not Phase.UP:
            return effects
        effects += self._send_more(now_ms) if was_up else self._resume(now_ms)
        if self.outbox.in_flight:
            self.line.ask(now_ms)
        return effects

    def forget_session(self) -> None:
        """Lose what a device keeps in memory only: what is in flight will be sent as new."""
        self.outbox.forget_session()

    def _resume(self, now_ms: int) -> list[Effect]:
        """The connection is up again: first all that is unacknowledged, then the rest, in order."""
        greeting = self.line.greeting
        if self._is_v5 and greeting is not None:
            # [MQTT5-3.2.2-5]: a server without the session never heard of these identifiers.
            if not greeting.session_present:
                self.outbox.forget_session()
            # [MQTT5-3.3.4-9]
            receive_maximum = greeting.properties.receive_maximum or self._in_flight_max
            self.outbox.in_flight_max = min(self._in_flight_max, receive_maximum)
        repeats = self.outbox.take_repeats(now_ms)
        first = [*self._subscribe(now_ms), *self.line.say(repeats, now_ms)]
        return [*first, *self._send_more(now_ms)]

    def _collect(self, packets: Iterable[ServerPacket]) -> None:
        self.mail.extend(packet for packet in packets if isinstance(packet, Publish))

    def _subscribe(self, now_ms: int) -> list[Effect]:
        if not self.filters:
            return []
        subscriptions = tuple(Subscription(each, maximum_qos=1) for each in self.filters)
        packet = Subscribe(self.outbox.next_packet_id(), subscriptions)
        self.line.ask(now_ms)
        return self.line.say(encode_packet(packet, self._version), now_ms)

    def _send_more(self, now_ms: int) -> list[Effect]:
        if self.is_blocked or self.line.phase is not Phase.UP or not self.outbox.waiting:
            return []
        packets = self.outbox.take_sendable(now_ms)
        if not packets:
            return []
        if self.outbox.in_flight:
            self.line.ask(now_ms)
        return self.line.say(packets, now_ms)
