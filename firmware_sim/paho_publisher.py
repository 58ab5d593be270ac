"""The line and the outbox of a device when a real paho-mqtt client does the talking.

Theory of operation. Each client has paho's own thread, queue, window, back-off and keep-alive; what
it says comes back to the loop of the fleet, where the account is kept. The device's flash is ours:
what is not acknowledged when the power fails goes to the client of the next boot. Faults that
swallow single bytes can't be done to a library from outside: they break the connection instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from firmware_sim.connecting import Target
from firmware_sim.effects import Effect
from firmware_sim.failures import SimulationFailed
from firmware_sim.line import LineOptions, Phase
from firmware_sim.outbox import Journal, Outgoing
from firmware_sim.scenario import LinkSpec
from firmware_sim.switchboard import RunClock
from gateway.mqtt import ProtocolVersion, Publish

if TYPE_CHECKING:
    from paho.mqtt.client import Client

CLIENTS_MAX = 1_000
FAILURE = 0x80
MAIL_MAX = 1_000
MILLISECONDS = 1_000


class _InFlight(NamedTuple):
    outgoing: Outgoing
    sent_ms: int


def check_paho(devices: int) -> None:
    """See that paho-mqtt is here, and that so many clients are within reason.

    Raises:
        SimulationFailed: it is not, or they are not.
    """
    try:
        import paho.mqtt.client  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise SimulationFailed(
            "--client paho needs the library paho-mqtt; install it with 'pip install paho-mqtt'"
        ) from error
    if devices > CLIENTS_MAX:
        raise SimulationFailed(
            f"--client paho runs a thread for each device, {CLIENTS_MAX} at most; "
            f"run fewer than {devices} devices, or leave --client away"
        )


class PahoLine:
    """Where paho's connection stands; the part of `line.Line` that devices and fleets ask for."""

    def __init__(self, publisher: PahoPublisher) -> None:
        self.phase = Phase.RESTING
        self.connects = 0
        self.refusals = 0
        self.latest_error = ""
        self._publisher = publisher
        self.away_until_ms = 0
        self._boot_ms: int | None = None

    @property
    def next_due_ms(self) -> int | None:
        """When the client is to be started; paho keeps all other times itself."""
        return self._boot_ms

    @property
    def hears(self) -> bool:
        return True

    @hears.setter
    def hears(self, hears: bool) -> None:
        self._break_if(is_deaf=not hears)

    @property
    def speaks(self) -> bool:
        return True

    @speaks.setter
    def speaks(self, speaks: bool) -> None:
        self._break_if(is_deaf=not speaks)

    def _break_if(self, *, is_deaf: bool) -> None:
        if is_deaf:
            self._publisher.break_connection(0)

    def wake(self, at_ms: int) -> None:
        """Start the client at `at_ms`."""
        self._boot_ms = at_ms

    def advance(self, now_ms: int) -> None:
        """Start the client if it is time."""
        if self._boot_ms is not None and self._boot_ms <= now_ms:
            self._boot_ms = None
            self._publisher.boot(now_ms)

    def cut(self, now_ms: int, *, away_ms: int = 0) -> list[Effect]:
        """Drop the connection without a word, and stay away for `away_ms` at least."""
        self.away_until_ms = max(self.away_until_ms, now_ms + away_ms)
        self._publisher.break_connection(away_ms)
        return []

    def recover(self, now_ms: int) -> list[Effect]:
        """Start the client at once if it is off; what paho waits for, it waits for."""
        if self._publisher.is_off:
            self.wake(now_ms)
        return []

    def close(self, now_ms: int) -> list[Effect]:
        """Say goodbye; the line is never used again."""
        self._boot_ms = None
        self.phase = Phase.CLOSED
        self._publisher.turn_off()
        return []


class PahoPublisher:
    """Publishes what is offered through paho; the part of `publisher.Publisher` that is needed."""

    def __init__(
        self,
        options: LineOptions,
        link: LinkSpec,
        target: Target,
        journal: Journal,
        clock: RunClock,
    ) -> None:
        self.line = PahoLine(self)
        self.outbox = self
        self.is_off = True
        self.waiting = 0
        """Always none: what paho has queued counts as in flight."""
        self._options = options
        self._target = target
        self._journal = journal
        self._link = link
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._client: Client | None = None
        self._generation = 0
        self._kept: list[Outgoing] = []
        self.filters: Sequence[str] = ()
        self.mail: deque[Publish] = deque(maxlen=MAIL_MAX)
        """What was delivered; the device looks at it when it is next due."""
        self._in_flight: dict[int, _InFlight] = {}

    @property
    def in_flight(self) -> int:
        return len(self._in_flight) + len(self._kept)

    @property
    def is_idle(self) -> bool:
        return not self.in_flight

    def advance(self, now_ms: int) -> list[Effect]:
        self.line.advance(now_ms)
        return []

    def opened(self, now_ms: int) -> list[Effect]:
        return []

    def lost(self, now_ms: int, why: str) -> None:
        pass

    def received(self, arrived: bytes, now_ms: int) -> list[Effect]:
        return []

    def block(self, now_ms: int, *, is_blocked: bool) -> list[Effect]:
        return []

    def offer(self, outgoings: Iterable[Outgoing], now_ms: int) -> list[Effect]:
        """Hand messages to paho, or keep them while the device is off."""
        for outgoing in outgoings:
            if self.in_flight >= self._link.buffer_max:
                # What paho has it keeps, so the newest must go.
                if not outgoing.is_copy and not outgoing.note:
                    self._journal.overflowed(outgoing.seq)
            elif self._client is None:
                self._kept.append(outgoing)
            else:
                self._publish(self._client, outgoing, now_ms)
        return []

    def offer_first(self, outgoing: Outgoing, now_ms: int) -> list[Effect]:
        """Paho has one queue: what is no reading waits in it like all others."""
        return self.offer([outgoing], now_ms)

    def tell(self, topic: str, payload: bytes, now_ms: int) -> list[Effect]:
        """Publish at QoS 0 if there is a connection."""
        if self._client is not None and self.line.phase is Phase.UP:
            self._client.publish(topic, payload, 0)
        return []

    def accept(self, packet: Publish, now_ms: int) -> list[Effect]:
        """Paho has acknowledged it already."""
        return []

    def forget_session(self) -> None:
        """Lose the client with all its memory; what it had not delivered is in the flash."""
        kept = [one.outgoing._replace(is_repeat=True) for one in self._in_flight.values()]
        self._kept = kept + self._kept
        self._in_flight.clear()
        self.break_connection(0)
        self.turn_off()
        self.line.wake(self.line.away_until_ms)

    def boot(self, now_ms: int) -> None:
        """Start a client, and give it what the flash has."""
        from paho.mqtt.client import Client, MQTTv5, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion

        options = self._options
        is_v5 = options.version is ProtocolVersion.V5
        self._generation += 1
        # MQTT 5 has its clean start at `connect`, where paho's default keeps the session.
        clean_session = None if is_v5 else options.clean_start
        client = self._client = Client(
            CallbackAPIVersion.VERSION2,
            options.client_id,
            protocol=MQTTv5 if is_v5 else MQTTv311,
            clean_session=clean_session,
        )
        if options.username is not None:
            password = None if options.password is None else options.password.decode()
            client.username_pw_set(options.username, password)
        client.max_inflight_messages_set(self._link.in_flight_max)
        client.max_queued_messages_set(0)
        self._set_back_off(client, 0)
        self._listen(client, self._generation)
        self.is_off = False
        self.line.phase = Phase.DIALING
        client.connect_async(self._target.host, self._target.port, options.keep_alive_s or 60)
        client.loop_start()
        kept, self._kept = self._kept, []
        self.offer(kept, now_ms)

    def break_connection(self, away_ms: int) -> None:
        """Break the connection under paho, which makes it again after `away_ms` at the soonest."""
        client = self._client
        found = None if client is None else client.socket()
        if client is None or not isinstance(found, socket.socket):
            return
        self._set_back_off(client, away_ms)
        with contextlib.suppress(OSError):
            found.shutdown(socket.SHUT_RDWR)

    def turn_off(self) -> None:
        """End the client; its thread ends by itself."""
        client, self._client = self._client, None
        self.is_off = True
        if client is None:
            return
        self._generation += 1
        if self.line.phase is not Phase.CLOSED:
            self.line.phase = Phase.RESTING
        client.disconnect()

    def _set_back_off(self, client: Client, away_ms: int) -> None:
        options = self._options
        first_s = max(1, -(-max(options.back_off_first_ms, away_ms) // MILLISECONDS))
        most_s = max(first_s, options.back_off_most_ms // MILLISECONDS)
        client.reconnect_delay_set(first_s, most_s)

    def _publish(self, client: Client, outgoing: Outgoing, now_ms: int) -> None:
        frame = outgoing.frame
        sent = client.publish(frame.topic, outgoing.payload, frame.qos)
        is_repeat = outgoing.is_repeat or outgoing.is_copy
        if not outgoing.note:
            self._journal.sent(outgoing.seq, is_repeat=is_repeat)
        if frame.qos:
            self._in_flight[sent.mid] = _InFlight(outgoing, now_ms)

    def _listen(self, client: Client, generation: int) -> None:
        """Bring what paho's thread hears to the loop of the fleet, as long as it is this client."""

        def on_loop(act: Callable[..., None]) -> Callable[..., None]:
            def later(*heard: Any) -> None:
                def now() -> None:
                    if self._generation == generation:
                        act(*heard)

                # The loop may be gone already: the run is over.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(now)

            return later

        client.on_connect = on_loop(self._connected)
        client.on_disconnect = on_loop(self._disconnected)
        client.on_publish = on_loop(self._acknowledged)
        client.on_message = on_loop(self._delivered)

    def _connected(self, client: Client, _: object, __: object, reason: Any, ___: object) -> None:
        if reason.is_failure:
            self.line.refusals += 1
            self.line.latest_error = f"refused: {reason}"
            return
        self.line.phase = Phase.UP
        self.line.connects += 1
        self._set_back_off(client, 0)
        if self.filters:
            client.subscribe([(topic_filter, 1) for topic_filter in self.filters])

    def _delivered(self, _: object, __: object, message: Any) -> None:
        self.mail.append(Publish(message.topic, message.payload))

    def _disconnected(self, _: object, __: object, ___: object, reason: Any, ____: object) -> None:
        if self.line.phase is not Phase.CLOSED:
            self.line.phase = Phase.RESTING
            self.line.latest_error = str(reason)

    def _acknowledged(self, _: object, __: object, mid: int, reason: Any, ___: object) -> None:
        entry = self._in_flight.pop(mid, None)
        if entry is None or entry.outgoing.is_copy:
            return
        if entry.outgoing.note:
            self._journal.served(entry.outgoing.note)
        elif reason.value >= FAILURE:
            self._journal.refused(entry.outgoing.seq)
        else:
            self._journal.acknowledged(entry.outgoing.seq, self._clock.now_ms() - entry.sent_ms)
