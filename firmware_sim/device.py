"""One virtual device, sans-IO: it boots, samples its sensors, keeps what it can't send, suffers.

Theory of operation. A device is a publisher with sensors. It samples on a grid (boot time plus
whole periods), so that a late shell changes neither values nor time stamps. Each reading gets the
next sequence number and goes to the offline buffer, from which the publisher takes it when it can.
Faults come from the plan. The buffer is flash: it survives a loss of power, the session does not.
Its services (twin, commands, updates) hear what the server delivers, and ask for deeds.
All that a device does follows from its seed, its inputs and the times that it is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import orjson

from firmware_sim.account import Account
from firmware_sim.battery import FIELD, Battery
from firmware_sim.chance import derive_key, draw_unit
from firmware_sim.distortion import Distortion
from firmware_sim.effects import Effect
from firmware_sim.faults import FaultKind, FaultPlan, FaultSpec, FleetCourse
from firmware_sim.line import LineOptions, Phase
from firmware_sim.outbox import Outgoing
from firmware_sim.publisher import Publisher
from firmware_sim.scenario import Member
from firmware_sim.sensors import Value, build_readers
from firmware_sim.services import Ask, Crossings, Deed, DeskPlan, Restart, ServiceDesk, Tell
from firmware_sim.signals import Grain
from firmware_sim.timepiece import Timepiece
from firmware_sim.wire import MessageFrame, PublishFrame

if TYPE_CHECKING:
    from firmware_sim.paho_publisher import PahoPublisher

# A shell that was held up gets the readings that it owes in portions.
CATCH_UP_MAX = 100
MICROSECONDS = 1_000_000
MILLISECONDS = 1_000


class RunPlan(NamedTuple):
    """What the devices of one run share."""

    seed: int
    start_ms: int
    boot_within_ms: int = 0


class Device:
    """One member of a fleet; an actor for the switchboard."""

    def __init__(
        self,
        member: Member,
        plan: RunPlan,
        options: LineOptions,
        account: Account,
        publisher: PahoPublisher | None = None,
    ) -> None:
        """Take a place in a fleet; without a `publisher` the device speaks MQTT by itself."""
        kind = member.kind
        self.name = member.name
        key = derive_key(plan.seed, member.name)
        self.publisher: Publisher | PahoPublisher = publisher or Publisher(
            options,
            account,
            derive_key(key, "line"),
            waiting_max=kind.link.buffer_max,
            in_flight_max=kind.link.in_flight_max,
        )
        self._account = account
        self._version = options.version
        self._frame = PublishFrame(kind.topic(member.name), kind.qos, options.version)
        # Numbers begin anew with every run, and a server remembers those of the last one.
        self._run_mark = plan.start_ms if kind.is_exactly_once else None
        self._readers = build_readers(kind.fields, Grain(key, key, member.rank, plan.start_ms))
        boot_ms = plan.start_ms + int(draw_unit(key, 0) * plan.boot_within_ms)
        self._period_us = round(MICROSECONDS / kind.rate_hz)
        self._first_ms = boot_ms + int(draw_unit(key, 1) * self._period_us / 1_000)
        self._tick = 0
        self._seq = 0
        self._is_sampling = True
        self._deaf_until_ms: int | None = None
        self._distortion = Distortion(key)
        self._clock = Timepiece(kind.clock, key, plan.start_ms)
        self._battery = Battery(kind.battery, key, boot_ms) if kind.battery is not None else None
        common = FleetCourse(derive_key(plan.seed, "fleet"), plan.start_ms + plan.boot_within_ms)
        self._faults: FaultPlan | None = FaultPlan(
            kind.faults, derive_key(plan.seed, kind.name), member.rank, boot_ms, common
        )
        self.publisher.line.wake(boot_ms)
        self._quiet_until_ms = boot_ms
        self._crossings: Crossings | None = None
        self._desk = self._open_desk(member, key)

    def _open_desk(self, member: Member, key: int) -> ServiceDesk | None:
        """Begin to serve, if the scenario has services."""
        spec = member.kind.services
        if spec is None:
            return None
        interval_ms = round(MILLISECONDS / member.kind.rate_hz)
        desk = ServiceDesk(spec, DeskPlan(member.name, key, interval_ms), self._account)
        self.publisher.filters = desk.filters()
        if desk.twin is not None:
            self._interval_ms = interval_ms
            self._crossings = Crossings(desk.twin)
        desk.boot()
        return desk

    @property
    def phase(self) -> Phase:
        return self.publisher.line.phase

    @property
    def is_idle(self) -> bool:
        """Whether every reading has found its end."""
        return self.publisher.is_idle

    @property
    def next_due_ms(self) -> int | None:
        """When `advance` must be called again, at the latest; None when only inputs matter."""
        due_ms = self.publisher.line.next_due_ms
        if self._is_sampling:
            sample_ms = self._first_ms + self._tick * self._period_us // 1_000
            if due_ms is None or sample_ms < due_ms:
                due_ms = sample_ms
        for other_ms in (
            None if self._faults is None else self._faults.next_due_ms,
            self._deaf_until_ms,
            None if self._battery is None else self._battery.empty_at_ms,
            self._distortion.next_due_ms,
            None if self._desk is None else self._desk.next_due_ms,
        ):
            if other_ms is not None and (due_ms is None or other_ms < due_ms):
                due_ms = other_ms
        return due_ms

    def advance(self, now_ms: int) -> list[Effect]:
        """Do all that is due by `now_ms`: faults strike, sensors are read, the line is kept."""
        effects: list[Effect] = []
        if self._faults is not None:
            for spec in self._faults.strike(now_ms):
                effects += self._suffer(spec, now_ms)
        if self._deaf_until_ms is not None and self._deaf_until_ms <= now_ms:
            self._deaf_until_ms = None
            effects += self.publisher.line.cut(now_ms)
        if self._battery is not None and self._battery.empty_at_ms <= now_ms:
            self._account.tally.faults[FIELD] += 1
            effects += self._lose_power(self._battery.charge(now_ms), now_ms)
        held_ms = self._distortion.next_due_ms
        if held_ms is not None and held_ms <= now_ms:
            effects += self.publisher.offer(self._distortion.release(), now_ms)
        if self._is_sampling:
            effects += self._sample(now_ms)
        effects += self.publisher.advance(now_ms)
        if self._desk is not None:
            # Real clients bring their mail from other threads, at any time.
            effects += self._take_mail(now_ms)
            effects += self._serve(self._desk.advance(now_ms), now_ms)
        return effects

    def opened(self, now_ms: int) -> list[Effect]:
        return self.publisher.opened(now_ms)

    def lost(self, now_ms: int, why: str) -> None:
        self._deaf_until_ms = None
        if self._desk is not None:
            self._desk.lost()
        self.publisher.lost(now_ms, why)

    def received(self, arrived: bytes, now_ms: int) -> list[Effect]:
        if self._desk is None:
            return self.publisher.received(arrived, now_ms)
        was_up = self.phase is Phase.UP
        effects = self.publisher.received(arrived, now_ms)
        if not was_up and self.phase is Phase.UP:
            effects += self._serve(self._desk.connected(), now_ms)
        return effects + self._take_mail(now_ms)

    def block(self, now_ms: int, *, is_blocked: bool) -> list[Effect]:
        return self.publisher.block(now_ms, is_blocked=is_blocked)

    def settle(self, now_ms: int) -> list[Effect]:
        """Take no more readings, suffer no more faults; only bring out what is still here."""
        self._give_over()
        held = self.publisher.offer(self._distortion.release(), now_ms)
        return [*held, *self.publisher.line.recover(now_ms)]

    def close(self, now_ms: int) -> list[Effect]:
        """Leave for good, politely if there is a connection."""
        self._give_over()
        return self.publisher.line.close(now_ms)

    def _give_over(self) -> None:
        self._is_sampling = False
        self._faults = None
        self._battery = None
        self._deaf_until_ms = None
        # What is said is brought out; nothing more is obeyed.
        self._desk = None
        self.publisher.filters = ()

    def _take_mail(self, now_ms: int) -> list[Effect]:
        """Give the services what was delivered; it is accepted once it is in the flash."""
        effects: list[Effect] = []
        mail = self.publisher.mail
        while mail and self._desk is not None:
            packet = mail.popleft()
            deeds = self._desk.hear(packet, now_ms, self._clock.read(now_ms))
            effects += self.publisher.accept(packet, now_ms)
            effects += self._serve(deeds, now_ms)
        return effects

    def _serve(self, deeds: Iterable[Deed], now_ms: int) -> list[Effect]:
        """Do what the services ask for."""
        effects: list[Effect] = []
        for deed in deeds:
            match deed:
                case Tell(topic, payload, note, properties):
                    frame = MessageFrame(topic, self._version, properties)
                    outgoing = Outgoing(-1, frame, payload, note=note)
                    effects += self.publisher.offer_first(outgoing, now_ms)
                case Ask(topic, payload):
                    effects += self.publisher.tell(topic, payload, now_ms)
                case Restart(off_ms):
                    self._account.tally.services["restarts"] += 1
                    effects += self._lose_power(now_ms + off_ms, now_ms)
        self._keep_interval(now_ms)
        return effects

    def _keep_interval(self, now_ms: int) -> None:
        """Sample as the twin wants it: the grid begins anew when its interval changes."""
        twin = None if self._desk is None else self._desk.twin
        if twin is None or twin.interval_ms == self._interval_ms:
            return
        latest_ms = self._first_ms + (self._tick - 1) * self._period_us // 1_000
        self._interval_ms = twin.interval_ms
        self._period_us = twin.interval_ms * 1_000
        due_ms = min(latest_ms, now_ms) + twin.interval_ms
        self._first_ms, self._tick = max(due_ms, now_ms, self._quiet_until_ms), 0

    def _sample_ms(self) -> int:
        return self._first_ms + self._tick * self._period_us // 1_000

    def _sample(self, now_ms: int) -> list[Effect]:
        readings: list[Outgoing] = []
        for _ in range(CATCH_UP_MAX):
            at_ms = self._sample_ms()
            if at_ms > now_ms:
                break
            self._tick += 1
            readings.append(self._read(at_ms))
        if not readings:
            return []
        return self.publisher.offer(self._distortion.pass_on(readings, now_ms), now_ms)

    def _read(self, at_ms: int) -> Outgoing:
        """Take one reading: the sensors show the truth, the clock what it believes."""
        seq = self._seq
        self._seq += 1
        reading: dict[str, Value] = {"ts": self._clock.read(at_ms), "seq": seq}
        for name, read in self._readers:
            reading[name] = read(at_ms)
        if self._battery is not None:
            reading[FIELD] = self._battery.percent(at_ms)
            self._battery.spend()
        if self._crossings is not None:
            self._crossings.show(reading)
        payload = orjson.dumps(reading)
        is_altered = self._distortion.is_corrupting(at_ms)
        if is_altered:
            payload = self._distortion.corrupt(payload, seq)
        self._account.taken(seq, payload, is_altered=is_altered)
        frame = self._frame
        if self._run_mark is not None:
            frame = frame.numbered(f"{self._run_mark}-{seq}")
        return Outgoing(seq, frame, payload)

    def _skip_until(self, until_ms: int) -> None:
        """Take no reading before `until_ms`; the grid stays."""
        self._quiet_until_ms = max(self._quiet_until_ms, until_ms)
        owed_us = (until_ms - self._first_ms) * 1_000
        self._tick = max(self._tick, -(-owed_us // self._period_us))

    def _suffer(self, spec: FaultSpec, now_ms: int) -> list[Effect]:
        """Let one fault strike; without a connection those of the connection do nothing."""
        if spec.kind in NEEDS_CONNECTION and self.phase is not Phase.UP:
            return []
        self._account.tally.faults[spec.kind.value] += 1
        until_ms = now_ms + spec.lasts_ms
        match spec.kind:
            case FaultKind.SILENCE:
                self._skip_until(until_ms)
            case FaultKind.POWER_LOSS:
                return self._lose_power(until_ms, now_ms)
            case FaultKind.CLOCK_JUMP:
                self._clock.jump(spec.by_ms, until_ms)
            case FaultKind.DUPLICATE | FaultKind.REORDER | FaultKind.CORRUPT:
                self._distortion.begin(spec.kind, until_ms)
            case _:
                return self._disturb(spec, now_ms)
        return []

    def _disturb(self, spec: FaultSpec, now_ms: int) -> list[Effect]:
        """Let a fault of the connection strike."""
        line = self.publisher.line
        effects: list[Effect] = []
        match spec.kind:
            case FaultKind.RECONNECT:
                effects = line.cut(now_ms)
            case FaultKind.RESEND:
                line.hears = False
                self._deaf_until_ms = now_ms + spec.lasts_ms
            case FaultKind.RADIO_LOSS:
                effects = line.cut(now_ms, away_ms=spec.lasts_ms)
            case FaultKind.HALF_OPEN:
                line.hears = line.speaks = False
        return effects

    def _lose_power(self, until_ms: int, now_ms: int) -> list[Effect]:
        """Be off until then: no readings, no connection, no memory of the session."""
        self._skip_until(until_ms)
        effects = self.publisher.line.cut(now_ms, away_ms=until_ms - now_ms)
        self.publisher.forget_session()
        # What was held back is in the flash, too; without a connection it stays there.
        self.publisher.offer(self._distortion.release(), now_ms)
        if self._desk is not None:
            self._desk.lost()
            # What it has to say when it is up again waits in the flash, too.
            effects += self._serve(self._desk.boot(), now_ms)
        return effects


NEEDS_CONNECTION = frozenset({FaultKind.RECONNECT, FaultKind.RESEND, FaultKind.HALF_OPEN})
