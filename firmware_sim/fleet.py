"""A fleet on real sockets and real time: starts it, watches it and brings it home.

Whether the log has what it sent is `verification`'s affair.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from firmware_sim.account import Ledger
from firmware_sim.connecting import Target, greet, wait_until
from firmware_sim.device import Device, RunPlan
from firmware_sim.line import LineOptions
from firmware_sim.paho_publisher import PahoPublisher
from firmware_sim.scenario import Member, Scenario
from firmware_sim.switchboard import RunClock, Switchboard

PROGRESS_S = 1.0
GOODBYE_S = 5.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a scenario is run."""

    devices: int
    duration_ms: int
    seed: int = 1
    drain_ms: int = 30_000
    """How long to wait, after the last reading, for what is not acknowledged yet."""
    keeps_readings: bool = False
    """Whether every single reading is to be accounted for."""
    client: Literal["firmware", "paho"] = "firmware"
    """Who speaks MQTT: the simulated firmware itself, or real paho-mqtt clients."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A fleet at one moment; counts are since the start."""

    elapsed_ms: int
    devices: int
    connected: int
    phases: dict[str, int]
    """How many devices there are in each phase of their connection, those that are up apart."""
    taken: int
    published: int
    repeats: int
    acknowledged: int
    refused: int
    overflowed: int
    buffered: int
    in_flight: int
    reconnects: int
    refusals: int
    latency_ms_p50: int
    latency_ms_p99: int
    latency_ms_max: int
    faults: dict[str, int]
    services: dict[str, int] = field(default_factory=dict)
    """What the devices did with their twins, commands and updates."""


class Fleet:
    """The devices of one run."""

    def __init__(
        self, scenario: Scenario, options: RunOptions, target: Target, clock: RunClock
    ) -> None:
        self.scenario = scenario
        self.options = options
        self.ledger = Ledger(keeps_readings=options.keeps_readings)
        self.start_ms = clock.now_ms()
        self.devices: list[Device] = []
        self._target = target
        self._clock = clock
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Take no more readings from now on; `run` brings out what there is, and returns."""
        self._stopped.set()

    async def run(self, watch: Callable[[Progress], None]) -> Progress:
        """Run for the duration, then until everything is acknowledged or the drain time is over.

        `watch` is called about once a second. Returns how it stood before the goodbyes.

        Raises:
            ServerAbsent, ServerRefused: before any device has started.
        """
        first = next(self.scenario.members(self.options.devices))
        await greet(self._target, first.name, self._clock)
        self.start_ms = self.ledger.start_ms = self._clock.now_ms()
        self.devices = self._build_devices()
        board = Switchboard(self.devices, self._target.host, self._target.port, self._clock)
        board.start()
        try:
            await self._watch_for(watch, self.options.duration_ms, self._stopped.is_set)
            board.command(Device.settle)
            await self._watch_for(watch, self.options.drain_ms, self._is_idle)
            final = self.progress()
            board.command(Device.close)
            await wait_until(lambda: board.connections == 0, GOODBYE_S)
        finally:
            await board.stop()
        return final

    async def _watch_for(
        self, watch: Callable[[Progress], None], most_ms: int, is_over: Callable[[], bool]
    ) -> None:
        end_ms = self._clock.now_ms() + most_ms
        while not is_over():
            left_s = (end_ms - self._clock.now_ms()) / 1_000
            if left_s <= 0:
                return
            if not await wait_until(is_over, min(left_s, PROGRESS_S)):
                watch(self.progress())

    def _is_idle(self) -> bool:
        return all(device.is_idle for device in self.devices)

    def _build_devices(self) -> list[Device]:
        plan = RunPlan(self.options.seed, self.start_ms, self.scenario.boot_within_ms)
        return [
            self._build_device(member, plan)
            for member in self.scenario.members(self.options.devices)
        ]

    def _build_device(self, member: Member, plan: RunPlan) -> Device:
        options = self._line_options(member)
        account = self.ledger.open_account(member.kind.topic(member.name))
        publisher = None
        if self.options.client == "paho":
            link = member.kind.link
            publisher = PahoPublisher(options, link, self._target, account, self._clock)
        return Device(member, plan, options, account, publisher)

    def _line_options(self, member: Member) -> LineOptions:
        link = member.kind.link
        return dataclasses.replace(
            self._target.line_options(member.name),
            keep_alive_s=link.keep_alive_s,
            response_ms=link.response_ms,
            back_off_first_ms=link.back_off_first_ms,
            back_off_most_ms=link.back_off_most_ms,
        )

    def progress(self) -> Progress:
        """Where the fleet stands now."""
        tally = self.ledger.tally
        lines = [device.publisher.line for device in self.devices]
        boxes = [device.publisher.outbox for device in self.devices]
        phases = Counter(line.phase.name.lower() for line in lines)
        p50_ms, p99_ms = tally.latency.percentiles_ms((0.5, 0.99))
        return Progress(
            elapsed_ms=self._clock.now_ms() - self.start_ms,
            devices=self.options.devices,
            connected=phases.pop("up", 0),
            phases=dict(sorted(phases.items())),
            taken=tally.taken,
            published=tally.published,
            repeats=tally.repeats,
            acknowledged=tally.acknowledged,
            refused=tally.refused,
            overflowed=tally.overflowed,
            buffered=sum(box.waiting for box in boxes),
            in_flight=sum(box.in_flight for box in boxes),
            reconnects=sum(max(0, line.connects - 1) for line in lines),
            refusals=sum(line.refusals for line in lines),
            latency_ms_p50=p50_ms,
            latency_ms_p99=p99_ms,
            latency_ms_max=tally.latency.most_ms,
            faults=dict(sorted(tally.faults.items())),
            services=dict(sorted(tally.services.items())),
        )

    def troubles(self, most: int = 3) -> list[str]:
        """The commonest reasons for which connections of this fleet ended, the commonest first."""
        reasons = Counter(
            device.publisher.line.latest_error
            for device in self.devices
            if device.publisher.line.latest_error
        )
        return [f"{reason} ({count} devices)" for reason, count in reasons.most_common(most)]
