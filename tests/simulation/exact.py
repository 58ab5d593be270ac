"""A publisher and a reader of QoS 2 that keep their state over every connection; sans-IO."""

from __future__ import annotations

from firmware_sim.effects import Effect
from firmware_sim.line import Line, LineOptions, Phase
from gateway.mqtt import (
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ServerPacket,
    Subscribe,
    Subscription,
    encode_packet,
)

IN_FLIGHT_MAX = 3
PACKET_ID_MAX = 7
"""Few identifiers, so that they are used again and again."""


class Client:
    """What both have in common: a line that is kept, and packets that are answered in order."""

    def __init__(self, options: LineOptions, key: int) -> None:
        self.line = Line(options, key)
        self._version = options.version

    @property
    def next_due_ms(self) -> int | None:
        return self.line.next_due_ms

    @property
    def is_idle(self) -> bool:
        return True

    def advance(self, now_ms: int) -> list[Effect]:
        return self.line.advance(now_ms)

    def opened(self, now_ms: int) -> list[Effect]:
        return self.line.opened(now_ms)

    def lost(self, now_ms: int, why: str) -> None:
        self.line.lost(now_ms, why)

    def block(self, now_ms: int, *, is_blocked: bool) -> list[Effect]:
        return []

    def received(self, arrived: bytes, now_ms: int) -> list[Effect]:
        was_up = self.line.phase is Phase.UP
        arrivals, effects = self.line.received(arrived, now_ms)
        if self.line.phase is not Phase.UP:
            return effects
        if not was_up:
            greeting = self.line.greeting
            is_present = greeting is not None and greeting.session_present
            effects += self.say(self.resume(is_present=is_present), now_ms)
        for packet in arrivals.packets:
            effects += self.say(self.answer(packet), now_ms)
        return effects

    def settle(self, now_ms: int) -> list[Effect]:
        return self.line.recover(now_ms)

    def say(self, packets: list[object], now_ms: int) -> list[Effect]:
        encoded = b"".join(encode_packet(packet, self._version) for packet in packets)  # type: ignore[arg-type]
        return self.line.say(encoded, now_ms)

    def resume(self, *, is_present: bool) -> list[object]:
        raise NotImplementedError

    def answer(self, packet: ServerPacket) -> list[object]:
        raise NotImplementedError


class ExactPublisher(Client):
    """Publishes numbers, each exactly once."""

    def __init__(
        self, options: LineOptions, key: int, topic: str, start_ms: int, every_ms: int
    ) -> None:
        super().__init__(options, key)
        self.made = 0
        self.confirmed: set[int] = set()
        """Numbers that the server has taken over, by its PUBREC."""
        self.complaint = ""
        self._topic = topic
        self._due_ms = start_ms
        self._every_ms = every_ms
        self._is_settled = False
        self._packet_id = 0
        self._unsent: list[int] = []
        self._in_flight: dict[int, int] = {}
        self._releasing: dict[int, int] = {}
        self.line.wake(start_ms)

    @property
    def next_due_ms(self) -> int | None:
        line_ms = self.line.next_due_ms
        if self._is_settled:
            return line_ms
        return self._due_ms if line_ms is None else min(line_ms, self._due_ms)

    @property
    def is_idle(self) -> bool:
        return not (self._unsent or self._in_flight or self._releasing)

    def advance(self, now_ms: int) -> list[Effect]:
        effects = self.line.advance(now_ms)
        while not self._is_settled and self._due_ms <= now_ms:
            self._due_ms += self._every_ms
            self._unsent.append(self.made)
            self.made += 1
        return effects + self._send_more(now_ms)

    def settle(self, now_ms: int) -> list[Effect]:
        self._is_settled = True
        return super().settle(now_ms)

    def received(self, arrived: bytes, now_ms: int) -> list[Effect]:
        effects = super().received(arrived, now_ms)
        if not self.is_idle and self.line.phase is Phase.UP:
            effects += self._send_more(now_ms)
            self.line.ask(now_ms)
        return effects

    def resume(self, *, is_present: bool) -> list[object]:
        if not is_present and self._releasing:
            self.complaint = "the server lost a session that held PUBREC"
        return [
            *(self._publish(packet_id, is_again=True) for packet_id in self._in_flight),
            *(Pubrel(packet_id) for packet_id in self._releasing),
        ]

    def answer(self, packet: ServerPacket) -> list[object]:
        if isinstance(packet, Pubrec):
            number = self._in_flight.pop(packet.packet_id, None)
            if number is not None:
                self.confirmed.add(number)
                self._releasing[packet.packet_id] = number
            return [Pubrel(packet.packet_id)]
        if isinstance(packet, Pubcomp):
            self._releasing.pop(packet.packet_id, None)
        return []

    def _publish(self, packet_id: int, *, is_again: bool) -> Publish:
        payload = b"%d" % self._in_flight[packet_id]
        return Publish(self._topic, payload, 2, packet_id, dup=is_again)

    def _send_more(self, now_ms: int) -> list[Effect]:
        packets: list[object] = []
        while (
            self._unsent
            and self.line.phase is Phase.UP
            and len(self._in_flight) + len(self._releasing) < IN_FLIGHT_MAX
        ):
            while True:
                self._packet_id = self._packet_id % PACKET_ID_MAX + 1
                if self._packet_id not in self._in_flight | self._releasing:
                    break
            self._in_flight[self._packet_id] = self._unsent.pop(0)
            packets.append(self._publish(self._packet_id, is_again=False))
        if packets:
            self.line.ask(now_ms)
        return self.say(packets, now_ms) if packets else []


class ExactReader(Client):
    """Subscribes at QoS 2, and takes each message once by its packet identifier."""

    def __init__(self, options: LineOptions, key: int, topic_filter: str, start_ms: int) -> None:
        super().__init__(options, key)
        self.heard: list[bytes] = []
        self._topic_filter = topic_filter
        self._open: set[int] = set()
        self.line.wake(start_ms)

    def resume(self, *, is_present: bool) -> list[object]:
        if not is_present:
            self._open.clear()
        return [Subscribe(65_000, (Subscription(self._topic_filter, maximum_qos=2),))]

    def answer(self, packet: ServerPacket) -> list[object]:
        if isinstance(packet, Publish) and packet.qos == 2:
            if packet.packet_id not in self._open:
                self._open.add(packet.packet_id)
                self.heard.append(packet.payload)
            return [Pubrec(packet.packet_id)]
        if isinstance(packet, Pubrel):
            self._open.discard(packet.packet_id)
            return [Pubcomp(packet.packet_id)]
        return []
