"""A gateway, its log, its devices and its readers in one process, on one seed.

What befalls them is drawn from the seed: connections break, the disk is slow, refuses or fills up,
the wall clock steps, the gateway dies at any moment and starts again. At the end everybody comes
to rest, and `invariants` looks at what must be true of every run.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass

from firmware_sim.account import Ledger
from firmware_sim.chance import derive_key
from firmware_sim.device import Device, RunPlan
from firmware_sim.faults import FaultKind, FaultSpec
from firmware_sim.line import LineOptions
from firmware_sim.scenario import Field, Kind, LinkSpec, Member
from firmware_sim.signals import Sine
from firmware_sim.witness import Witness
from gateway.devices import DeviceTopics
from gateway.pipeline.evaluate import RuleEvaluation
from gateway.pipeline.evaluation_options import EvaluationOptions
from gateway.routing import Router, StreamRoute
from gateway.rules import TICKS_STREAM, RuleSet, parse_rules
from gateway.server import ListenerOptions, MqttServer, ServerOptions
from gateway.store import StreamSpec, partition_of
from tests.simulation.actors import PORT, Player
from tests.simulation.disk import BROKEN, FULL, Disk, DiskStore
from tests.simulation.exact import Client, ExactPublisher, ExactReader
from tests.simulation.network import Network
from tests.simulation.virtual_loop import START_MS, VirtualClock, VirtualLoop

SPECS = (
    StreamSpec("telemetry", 2),
    StreamSpec("alerts", 1),
    StreamSpec("alarms", 1),
    StreamSpec("dead-letters", 1),
    StreamSpec(TICKS_STREAM, 1),
)
ROUTES = (
    StreamRoute("alerts", ("alerts/#",), 1),
    StreamRoute("alarms", ("alarms/#",), 1),
    StreamRoute("telemetry", ("#",), 2),
)
OPTIONS = ServerOptions(
    listeners=(ListenerOptions("127.0.0.1", PORT),), sys_interval_ms=0, refuse_after_ms=2_000
)
RULES = """
version: 1
defaults:
  key: device
  time: {by: event, field: payload.ts}
rules:
  - id: high
    from: plant/+/state
    when: payload.value > 8
    clear: payload.value < 5
    alarm: {severity: warning, message: "{device}: {payload.value}"}
  - id: busy
    from: plant/+/state
    window: {sliding: 1s}
    aggregate: {mean: avg(payload.value), n: count()}
    when: mean > 2 && n >= 3
    clear: mean < 0
    alarm: {severity: minor, message: "{device}: {mean:.2f} of {n}"}
"""
FAULTS = (
    FaultSpec(FaultKind.RECONNECT, 1_500),
    FaultSpec(FaultKind.RESEND, 2_500, 300, 0.5),
    FaultSpec(FaultKind.RADIO_LOSS, 3_000, 600, 0.5),
    FaultSpec(FaultKind.POWER_LOSS, 4_000, 500, 0.5),
    FaultSpec(FaultKind.HALF_OPEN, 4_000, 0, 0.3),
    FaultSpec(FaultKind.DUPLICATE, 3_000, 500, 0.3),
)
LINK = LinkSpec(0, 1_500, in_flight_max=4, back_off_first_ms=20, back_off_most_ms=400)
REST_S = 120.0
EXACT_TOPIC = "exact/counter/value"


@dataclass(frozen=True)
class Plan:
    """What one seed will do."""

    seed: int
    devices: int
    rate_hz: float
    duration_s: float
    crashes: int
    troubles: int

    @classmethod
    def draw(cls, seed: int) -> Plan:
        """The plan of a seed."""
        chance = random.Random(seed)
        return cls(
            seed,
            devices=chance.randint(1, 3),
            rate_hz=chance.choice((5.0, 10.0, 20.0)),
            duration_s=chance.choice((0.3, 0.5, 0.8, 1.2, 3.0)) * chance.uniform(0.7, 1.0),
            crashes=chance.choice((0, 1, 1, 2, 3)),
            troubles=chance.randint(0, 3),
        )


class Delivery:
    """What the durable reader heard, in order: (topic, payload)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.witness: Witness | None = None
        self._connections: list[int] = []

    def take(self, topic: str, payload: bytes) -> None:
        assert self.witness is not None
        self.heard.append((topic, payload))
        self._connections.append(self.witness.line.connects)

    def owed(self) -> list[tuple[str, bytes]]:
        """What it heard since the connection on which its subscription was granted.

        One that was never granted may go with a crash, and what it had brought goes too.
        """
        granted_on = 0 if self.witness is None else self.witness.granted_on
        heard = zip(self.heard, self._connections, strict=True)
        return [message for message, number in heard if 0 < granted_on <= number]


class World:
    """One run."""

    def __init__(
        self,
        plan: Plan,
        loop: VirtualLoop,
        store_type: type[DiskStore] = DiskStore,
        rules: RuleSet | None = None,
    ) -> None:
        self.plan = plan
        self.loop = loop
        self.chance = random.Random(derive_key(plan.seed, "world"))
        self.clock = VirtualClock(loop)
        self.network = Network(loop, random.Random(derive_key(plan.seed, "network")))
        self.disk = Disk(random.Random(derive_key(plan.seed, "disk")))
        self.rules = rules or parse_rules(RULES)
        self.ledger = Ledger(keeps_readings=True)
        self.reader = Delivery()
        self.exact_reader = ExactReader(
            self._line_options("exact-reader"), derive_key(plan.seed, "r"), EXACT_TOPIC, START_MS
        )
        self.exact_publisher = ExactPublisher(
            self._line_options("exact"), derive_key(plan.seed, "p"), EXACT_TOPIC, START_MS + 40, 70
        )
        self.lives = 0
        self.story: list[str] = []
        self.store: DiskStore
        self._store_type = store_type
        self._server: MqttServer
        self._evaluation: RuleEvaluation
        self._tasks: list[asyncio.Task[None]] = []
        self._outside: set[asyncio.Task[object]] = set()
        self._players: list[Player] = []

    async def run(self) -> None:
        """Live through everything, then come to rest; the gateway still runs at the end."""
        self._outside = asyncio.all_tasks()
        await self.start()
        self._begin_devices()
        troubles = [self.loop.create_task(self._suffer()) for _ in range(self.plan.troubles)]
        self._outside |= set(troubles)
        for _ in range(self.plan.crashes):
            await self.loop.pass_time(
                self.chance.uniform(0, self.plan.duration_s / self.plan.crashes)
            )
            await self.crash()
        await self.loop.pass_time(self.plan.duration_s)
        await asyncio.gather(*troubles)
        self._heal()
        await self._come_to_rest()

    async def start(self) -> None:
        """Start a gateway on what the disk has."""
        self.lives += 1
        store = self.store = self._store_type(self.disk, self.loop, self.clock)
        for spec in SPECS:
            await store.ensure(spec)
        router = Router(list(ROUTES), DeviceTopics(("+/{device}/#",)).device_of, partition_of)
        slots = [
            (spec.name, number)
            for spec in SPECS
            if spec.name != TICKS_STREAM
            for number in range(spec.partitions)
        ]
        self._server = MqttServer(OPTIONS, store, router, self.clock, slots)
        await self._server.start()
        self._evaluation = RuleEvaluation(
            store,
            self.rules,
            ["telemetry", "alarms"],
            router.route_of,
            self.clock,
            EvaluationOptions(checkpoint_interval_ms=200, checkpoint_records=20),
            puts_of=self._server.retained_puts,
        )
        self._tasks = [
            *self._server.tasks,
            self.loop.create_task(self._evaluation.run(), name="rules"),
        ]

    async def crash(self) -> None:
        """Die in the middle of everything, and start again after a while."""
        self.tell("crash")
        self.store.die()
        for port in list(self.loop.factories):
            del self.loop.factories[port]
        # Whatever the gateway had begun ends with it, also what nobody waits for.
        dying = asyncio.all_tasks() - self._outside
        for task in dying:
            task.cancel()
        self.network.break_all()
        await asyncio.gather(*dying, return_exceptions=True)
        await self.loop.pass_time(self.chance.uniform(0.01, 0.3))
        while True:
            try:
                await self.start()
            except (FULL, BROKEN):
                # The disk refuses what a start writes; whoever starts it tries again.
                self.store.die()
                self.loop.factories.clear()
                await self.loop.pass_time(0.2)
            else:
                return

    def _begin_devices(self) -> None:
        plan = self.plan
        fields = (Field("value", Sine(10.0, 1_700, None)),)
        kind = Kind("pump", 1.0, "pump-{number}", "plant/{device}/state", plan.rate_hz, 1, fields, FAULTS, LINK)  # fmt: skip  # noqa: E501 - one line, one kind
        run = RunPlan(plan.seed, START_MS)
        for rank in range(plan.devices):
            member = Member(kind, rank, kind.device_name(rank))
            options = self._line_options(member.name)
            account = self.ledger.open_account(kind.topic(member.name))
            self._play(Device(member, run, options, account))

        witness = self.reader.witness = Witness(
            self._line_options("reader"), ["plant/#"], self.reader.take, derive_key(plan.seed, "w")
        )
        witness.line.wake(START_MS)
        self._play(witness)
        self._play(self.exact_reader)
        self._play(self.exact_publisher)

    def _line_options(self, name: str) -> LineOptions:
        return LineOptions(
            name,
            keep_alive_s=0,
            response_ms=LINK.response_ms,
            back_off_first_ms=LINK.back_off_first_ms,
            back_off_most_ms=LINK.back_off_most_ms,
        )

    def _play(self, actor: Device | Witness | Client) -> None:
        self._players.append(Player(actor, self.network, self.clock, START_MS))

    async def _suffer(self) -> None:
        """Let one trouble come and go."""
        await self.loop.pass_time(self.chance.uniform(0, self.plan.duration_s))
        trouble = self.chance.choice(("cut", "outage", "slow", "full", "broken", "clock"))
        self.tell(trouble)
        lasts_s = self.chance.uniform(0.05, 1.0)
        match trouble:
            case "cut":
                self.network.break_some(0.5)
            case "outage":
                self.network.is_up = False
                self.network.break_some(1.0)
                await self.loop.pass_time(lasts_s)
                self.network.is_up = True
            case "slow":
                self.disk.commit_s = (0.05, 0.3)
                await self.loop.pass_time(lasts_s)
                self.disk.commit_s = Disk.commit_s
            case "full" | "broken":
                self.disk.refusal = FULL if trouble == "full" else BROKEN
                await self.loop.pass_time(lasts_s)
                self.disk.refusal = None
            case "clock":
                self.clock.step(self.chance.choice((-86_400_000, -500, 500, 3_600_000)))

    def tell(self, what: str) -> None:
        """Note what happened, for whoever reads about a failure."""
        self.story.append(f"{self.loop.now_s:.3f} s: {what}")

    def _heal(self) -> None:
        self.tell("everything heals")
        self.disk.refusal = None
        self.disk.commit_s = Disk.commit_s
        self.network.is_up = True
        for player in self._players:
            if isinstance(player.actor, Device | Client):
                player.command(player.actor.settle(player.now_ms()))

    async def _come_to_rest(self) -> None:
        """Wait until nobody has anything to say any more."""
        deadline_s = self.loop.now_s + REST_S
        quiet = 0
        seen = (-1, -1, -1)
        while quiet < 8 and self.loop.now_s < deadline_s:
            await self.loop.pass_time(0.25)
            heard = len(self.reader.heard) + len(self.exact_reader.heard)
            now = (self.disk.commit_no, heard, self.ledger.tally.acknowledged)
            is_idle = all(
                player.actor.is_idle
                for player in self._players
                if isinstance(player.actor, Device | Client)
            )
            quiet = quiet + 1 if now == seen and is_idle else 0
            seen = now

    async def stop(self) -> None:
        """End the gateway politely."""
        with contextlib.suppress(BROKEN):
            await self._server.stop()
            await self._evaluation.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
