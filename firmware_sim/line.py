"""One client's connection to the server, sans-IO: dial, greet, keep alive, give up, back off.

Theory of operation. A line is RESTING until its dial time, then DIALING until the shell says
`opened` or `lost`, GREETING from CONNECT to CONNACK, and then UP. Whatever ends a connection (the
shell, a refusal, a silence, a fault of the scenario) leads back to RESTING with a later dial time:
the back-off doubles from first to most, each time cut by chance to between half and all of it, and
starts anew after a success. CLOSED is final. Time is an argument; `next_due_ms` says when to call
`advance` again at the latest.

What is published or subscribed is the affair of `publisher` and `witness`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from firmware_sim.chance import draw_unit
from firmware_sim.effects import Dial, Effect, HangUp, Send
from firmware_sim.wire import Arrivals, Inbox
from gateway.errors import MqttError
from gateway.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Properties,
    ProtocolVersion,
    ReasonCode,
    encode_packet,
)

SESSION_EXPIRY_S = 3_600


class Phase(Enum):
    """Where a connection stands."""

    RESTING = auto()
    DIALING = auto()
    GREETING = auto()
    UP = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class LineOptions:
    """Who connects, and how patiently."""

    client_id: str
    version: ProtocolVersion = ProtocolVersion.V3_1_1
    clean_start: bool = False
    keep_alive_s: int = 30
    response_ms: int = 20_000
    back_off_first_ms: int = 500
    back_off_most_ms: int = 30_000
    username: str | None = None
    password: bytes | None = None

    def connect(self) -> Connect:
        """The CONNECT that opens each connection."""
        is_v5 = self.version is ProtocolVersion.V5
        keeps_session = is_v5 and not self.clean_start
        return Connect(
            client_id=self.client_id,
            version=self.version,
            clean_start=self.clean_start,
            keep_alive_s=self.keep_alive_s,
            username=self.username,
            password=self.password,
            properties=Properties(
                session_expiry_interval_s=SESSION_EXPIRY_S if keeps_session else None
            ),
        )


class Line:
    """A connection that is made again and again until it is closed for good."""

    def __init__(self, options: LineOptions, key: int) -> None:
        self.phase = Phase.RESTING
        self.hears = True
        """False while a fault swallows all that arrives."""
        self.speaks = True
        """False while a fault swallows all that is sent."""
        self.greeting: Connack | None = None
        """What the server answered to the latest CONNECT."""
        self.connects = 0
        self.losses = 0
        self.refusals = 0
        self.latest_error = ""
        self._options = options
        self._keep_alive_ms = options.keep_alive_s * 1_000
        self._response_ms = options.response_ms
        self._key = key
        self._inbox = Inbox(options.version)
        self._dial_due_ms: int | None = None
        self._away_until_ms = 0
        self._sent_ms = 0
        self._asked_ms: int | None = None
        self._attempts = 0
        self._draws = 0

    @property
    def next_due_ms(self) -> int | None:
        """When something is to be done even if nothing arrives; None when never."""
        # Asked after every event of every device: plain comparisons, no calls.
        phase = self.phase
        if phase is Phase.CLOSED:
            return None
        if phase is Phase.RESTING:
            return self._dial_due_ms
        due_ms = None
        if phase is Phase.UP and self._keep_alive_ms:
            due_ms = self._sent_ms + self._keep_alive_ms
        if self._asked_ms is not None:
            answer_due_ms = self._asked_ms + self._response_ms
            if due_ms is None or answer_due_ms < due_ms:
                return answer_due_ms
        return due_ms

    def _answer_due_ms(self) -> int | None:
        return None if self._asked_ms is None else self._asked_ms + self._response_ms

    def wake(self, at_ms: int) -> None:
        """Dial at `at_ms`, if the line rests then."""
        self._dial_due_ms = at_ms

    def advance(self, now_ms: int) -> list[Effect]:
        """Do what is due: dial, ping, or give up a connection that no longer answers."""
        due_ms = self.next_due_ms
        if due_ms is None or due_ms > now_ms:
            return []
        if self.phase is Phase.RESTING:
            self.phase = Phase.DIALING
            self._asked_ms = None
            return [Dial()]
        answer_due_ms = self._answer_due_ms()
        if answer_due_ms is not None and answer_due_ms <= now_ms:
            self.latest_error = f"no answer for {self._options.response_ms} ms"
            return self.cut(now_ms)
        self.ask(now_ms)
        return self.say(encode_packet(Pingreq(), self._options.version), now_ms)

    def opened(self, now_ms: int) -> list[Effect]:
        """The shell has a connection: greet the server."""
        self.phase = Phase.GREETING
        self.ask(now_ms)
        return self.say(encode_packet(self._options.connect(), self._options.version), now_ms)

    def lost(self, now_ms: int, why: str = "connection lost") -> None:
        """The shell has no connection any more, or could not make one."""
        self.latest_error = why
        self._rest(now_ms)

    def cut(self, now_ms: int, *, away_ms: int = 0) -> list[Effect]:
        """Drop the connection without a word, and stay away for `away_ms` at least."""
        had_connection = self.phase not in {Phase.RESTING, Phase.CLOSED}
        self._away_until_ms = max(self._away_until_ms, now_ms + away_ms)
        self._rest(now_ms)
        return [HangUp(is_abrupt=True)] if had_connection else []

    def recover(self, now_ms: int) -> list[Effect]:
        """End every fault: a swallowed connection is dropped, a resting line dials at once."""
        effects = [] if self.hears and self.speaks else self.cut(now_ms)
        self._away_until_ms = now_ms
        if self.phase is Phase.RESTING:
            self.wake(now_ms)
        return effects

    def close(self, now_ms: int) -> list[Effect]:
        """Say goodbye if there is anybody to say it to; the line is never used again."""
        phase, self.phase = self.phase, Phase.CLOSED
        if phase in {Phase.RESTING, Phase.CLOSED}:
            return []
        if phase is not Phase.UP:
            return [HangUp(is_abrupt=True)]
        goodbye = encode_packet(Disconnect(), self._options.version)
        return [*self.say(goodbye, now_ms), HangUp(is_abrupt=False)]

    def say(self, payload: bytes, now_ms: int) -> list[Effect]:
        """Send bytes, unless a fault swallows them."""
        self._sent_ms = now_ms
        return [Send(payload)] if payload and self.speaks else []

    def ask(self, now_ms: int) -> None:
        """Expect an answer from now on; without any the connection is given up after a while."""
        if self._asked_ms is None:
            self._asked_ms = now_ms

    def received(self, arrived: bytes, now_ms: int) -> tuple[Arrivals, list[Effect]]:
        """Take bytes from the server, and say what they held.

        Any packet shows that the server is there: whoever still waits for another must `ask` again.
        """
        if not self.hears:
            return Arrivals(), []
        try:
            arrivals = self._inbox.feed(arrived)
        except MqttError as error:
            self.latest_error = f"the server broke the protocol: {error}"
            return Arrivals(), self.cut(now_ms)
        self._asked_ms = now_ms if self.phase is Phase.GREETING else None
        for packet in arrivals.packets:
            if isinstance(packet, Connack):
                return arrivals, self._greeted(packet, now_ms)
            if isinstance(packet, Disconnect):
                self.latest_error = f"the server hung up: {packet.reason_code.name}"
                return arrivals, self.cut(now_ms)
        return arrivals, []

    def _greeted(self, answer: Connack, now_ms: int) -> list[Effect]:
        self.greeting = answer
        self._asked_ms = None
        if answer.reason_code is not ReasonCode.SUCCESS:
            self.refusals += 1
            self.latest_error = f"refused: {answer.reason_code.name}"
            return self.cut(now_ms)
        self.phase = Phase.UP
        self.connects += 1
        self._attempts = 0
        return []

    def _rest(self, now_ms: int) -> None:
        """Forget the connection and plan the next one."""
        if self.phase is Phase.CLOSED:
            return
        self.losses += self.phase is Phase.UP
        self.phase = Phase.RESTING
        self.hears = self.speaks = True
        self._asked_ms = None
        self._inbox.clear()
        self._dial_due_ms = max(self._away_until_ms, now_ms + self._back_off_ms())

    def _back_off_ms(self) -> int:
        options = self._options
        doubled_ms = options.back_off_first_ms << min(self._attempts, 20)
        self._attempts += 1
        self._draws += 1
        full_ms = min(doubled_ms, options.back_off_most_ms)
        return int(full_ms * (0.5 + 0.5 * draw_unit(self._key, self._draws)))
