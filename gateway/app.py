"""The composition root: builds every part once, starts them in order, stops them in reverse.

Read this first: it says what the gateway is made of.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from gateway.clock import Clock, SystemClock
from gateway.config import (
    TICKS,
    GatewayConfig,
    all_specs,
    check_handlers,
    claim_limits,
    rule_streams,
    stream_routes,
)
from gateway.devices import (
    DEVICES_TABLE,
    SERVICE_TEMPLATES,
    DeviceTopics,
    ProfileBook,
    is_sealed,
    load_profiles,
)
from gateway.errors import GroupRefused, PenstockError, StoreUnavailable, UnknownStream
from gateway.routing import Router
from gateway.server import (
    RETAINED_HOLDER,
    DeviceUsage,
    MqttServer,
    ProfilesInUse,
    retained_check,
)
from gateway.store import (
    BlobStore,
    DeskHost,
    GroupDesk,
    StreamSpec,
    StreamStore,
    WorkWish,
    begin_at_end,
    load_engine,
    open_in_turn,
    partition_of,
)

if TYPE_CHECKING:
    from gateway.pipeline import (
        DeviceDesk,
        HandlerCrew,
        Ledger,
        ProfileFiles,
        RulesAtWork,
        RulesJob,
        WearWatch,
    )

logger = logging.getLogger(__name__)

RULES_GROUP = "rules"


class LoopEnded(PenstockError):
    """A part that runs as long as the gateway does has ended; the gateway stops with it."""


class Gateway:
    """One running gateway."""

    def __init__(
        self,
        config: GatewayConfig,
        clock: Clock,
        profiles: ProfileBook | None = None,
    ) -> None:
        self._config = config
        self._profiles = profiles or ProfileBook()
        self._clock = clock
        self._store: StreamStore | None = None
        self._blobs = BlobStore(config.data_dir, clock)
        self._server: MqttServer | None = None
        self._rules: RulesAtWork | None = None
        self._emitted_streams: Sequence[str] = ()
        self._wear: WearWatch | None = None
        self._ledger: Ledger | None = None
        self._desk_host: DeskHost | None = None
        self._crew: HandlerCrew | None = None
        self._profile_files: ProfileFiles | None = None
        self._in_use: ProfilesInUse | None = None
        self._services: DeviceDesk | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> list[tuple[str, int]]:
        """Open the log, start the rules, begin to listen; returns the bound addresses.

        Raises:
            DocumentInvalid: the rules are wrong; every error is listed, and nothing was opened.
            HandlerStreamUnknown: a handler reads a stream that there isn't.
            StoreInUse: another gateway has the data directory.
            StoreNotWritable: the data directory can't be written.
            AddressUnavailable: a port is in use.
        """
        await self._load_rules()
        store = self._store = await open_in_turn(self._config.store_options(), self._clock)
        specs = [*all_specs(self._config), *self._derived_specs()]
        for spec in specs:
            await store.ensure(spec)
        await self._choose_rules_start(store)
        desk = GroupDesk(store, self._clock, self._config.groups)
        await self._choose_handlers_start(desk)
        router = self._router()
        delivered = [spec for spec in specs if spec is not TICKS]
        slots = [(spec.name, number) for spec in delivered for number in range(spec.partitions)]
        self._server = MqttServer(self._config.server, store, router, self._clock, slots)
        self._server.derived_spec_of = self._config.derived.spec_of
        weaker = {own.name: own.durability for own in specs if own.durability != "fsync"}
        self._server.hub.ingest.weaker = weaker
        by_stream = {one.spec.name: one.claim_bytes for one in self._config.streams}
        self._server.keep_large(self._blobs, claim_limits(by_stream, self._profiles))
        limits_of = partial(claim_limits, by_stream)
        self._in_use = ProfilesInUse(self._server, self._profiles, self._device_topics, limits_of)
        addresses = await self._server.start()
        self._tasks += self._server.tasks
        await self._start_loops(store, router, desk)
        return addresses

    async def _load_rules(self) -> None:
        """Have the rules checked before anything is opened, in the process that evaluates them."""
        config = self._config
        if config.rules_path is None:
            return
        from gateway.pipeline import rules_at_work

        read = [stream.spec for stream in config.streams]
        rules = self._rules = rules_at_work(
            self._rules_job(), self._clock, config.rules_place, read
        )
        outline, _ = await asyncio.gather(rules.open(), asyncio.to_thread(load_engine))
        self._emitted_streams = outline.emitted_streams
        check_handlers(config.handlers, {spec.name for spec in read} | {*self._emitted_streams})

    def _rules_job(self) -> RulesJob:
        """All that the rules must know, in whichever process they are."""
        from gateway.pipeline import RouteRow, RulesJob

        config = self._config
        return RulesJob(
            data_dir=str(config.data_dir),
            rules_path=str(config.rules_path),
            profiles_path=None if config.profiles_path is None else str(config.profiles_path),
            reload_ms=config.rules_reload_ms,
            streams=tuple(rule_streams(self._config)),
            client_streams=tuple(stream.spec.name for stream in config.streams),
            routes=tuple(
                RouteRow(stream, tuple(filters), partitions)
                for stream, filters, partitions in stream_routes(self._config)
            ),
            device_topics=tuple(self._device_topics(self._profiles)),
            derived=config.derived.default,
            derived_by_name=config.derived.by_name,
        )

    async def _choose_rules_start(self, store: StreamStore) -> None:
        """See that rules which have never run begin with what comes, unless all is wanted."""
        if self._rules is not None and self._config.rules_start == "latest":
            await begin_at_end(store, RULES_GROUP, [*rule_streams(self._config), TICKS.name])

    async def _choose_handlers_start(self, desk: GroupDesk) -> None:
        """See that handlers which have never run begin before what comes."""
        for spec in self._config.handlers:
            wish = WorkWish(spec.group, spec.stream, spec.name, start=spec.start)
            # A derived stream is made with its rule, and its handler begins then.
            with contextlib.suppress(UnknownStream, GroupRefused):
                await desk.work.found(wish)

    def _derived_specs(self) -> list[StreamSpec]:
        """The streams that the rules emit."""
        return [self._config.derived.spec_of(name) for name in self._emitted_streams]

    async def _start_loops(self, store: StreamStore, router: Router, desk: GroupDesk) -> None:
        """Start what works on the log, when clients can already connect.

        The rules' engine is the largest import by far, so it is loaded beside the running loop.
        """
        await asyncio.to_thread(import_module, "gateway.pipeline")
        from gateway.pipeline import (
            ClockWatch,
            Compaction,
            GroupWatch,
            Ledger,
            Retention,
            Scrub,
            ScrubOptions,
            WearWatch,
        )

        await self._open_desk(store, desk)
        retention = Retention(store, clock=self._clock)
        self._tasks.append(asyncio.create_task(retention.run(), name="retention"))
        compaction = Compaction(store)
        self._tasks.append(asyncio.create_task(compaction.run(), name="compaction"))
        watch = ClockWatch(store, self._clock)
        self._tasks.append(asyncio.create_task(watch.run(), name="clock"))
        config = self._config
        wear = self._wear = WearWatch(store, self._clock, config.data_dir, config.wear)
        self._tasks.append(asyncio.create_task(wear.run(), name="wear"))
        groups = GroupWatch(store, self._clock)
        self._tasks.append(asyncio.create_task(groups.run(), name="group lag"))
        if self._server is not None:
            self._server.readings.tables += [wear.figures, groups.figures]
        if config.scrub_ms is not None:
            scrub = Scrub(store, self._clock, ScrubOptions(config.scrub_ms))
            self._tasks.append(asyncio.create_task(scrub.run(), name="scrub"))
        ledger = self._ledger = Ledger(store, self._clock)
        self._tasks.append(asyncio.create_task(ledger.run(), name="ledger"))
        self._start_upkeep_of_payloads(store)
        self._start_device_services(store, router)
        self._start_consumers(store, router, desk)

    def _start_device_services(self, store: StreamStore, router: Router) -> None:
        """Start what devices and applications ask for by the topics of twins and commands."""
        from gateway.pipeline import Around, DeviceDesk, OtaDesk, ReportWatch

        if self._server is None:
            return
        tree = self._server.hub.fanout.tree
        around = Around(
            store, router.route_of, self._server.retained_puts, self._clock, tree.is_heard
        )
        services = self._services = DeviceDesk(around)
        for root, welcome in services.welcomes.items():
            tree.watch(root, welcome)
        if self._desk_host is not None:
            self._desk_host.requests |= services.requests
            self._desk_host.tables.watch(DEVICES_TABLE, services.registry_changed)
        self._tasks += services.start()
        updates = OtaDesk(around, self._blobs, self._server.tell, self._config.ota)
        if self._desk_host is not None:
            self._desk_host.requests |= updates.requests
        self._tasks.append(updates.start())
        names = [stream.spec.name for stream in self._config.streams]
        ReportWatch(self._profiles, names, around, self._tasks).start()

    def _start_consumers(self, store: StreamStore, router: Router, desk: GroupDesk) -> None:
        """Start the rules and the handlers."""
        if self._rules is not None:
            self._start_rules(store, self._rules)
        if self._config.handlers:
            self._crew = self._build_crew(store, router, desk)
            self._tasks += self._crew.start()

    def _build_crew(self, store: StreamStore, router: Router, desk: GroupDesk) -> HandlerCrew:
        from gateway.pipeline import HandlerCrew, Surroundings, no_puts

        puts_of = self._server.retained_puts if self._server is not None else no_puts
        around = Surroundings(store, desk, router.route_of, puts_of, self._clock)
        crew = HandlerCrew(self._config.handlers, around)
        if self._desk_host is not None:
            self._desk_host.requests["handlers"] = crew.report
        if self._server is not None:
            self._server.readings.others |= crew.figures()
        return crew

    def _start_rules(self, store: StreamStore, rules: RulesAtWork) -> None:
        """Let the rules begin; how far they are behind is a figure of the server."""
        if self._server is None:
            return
        evaluating = rules.run(store, self._server.retained_puts)
        self._tasks.append(asyncio.create_task(evaluating, name="rules"))
        positions = self._server.hub.fanout.positions
        self._server.readings.others |= {
            "rules/lag": lambda: rules.lag(positions),
            "rules/restarts": lambda: rules.restarts,
            "rules/pid": lambda: rules.pid,
        }

    def _start_upkeep_of_payloads(self, store: StreamStore) -> None:
        """Start what looks for payloads that are wrong, and for blobs that nobody refers to."""
        from gateway.pipeline import Inspection, Sweeping

        names = [stream.spec.name for stream in self._config.streams]
        inspection = Inspection(store, self._profiles, names, self._clock)
        self._tasks.append(asyncio.create_task(inspection.run(), name="profiles"))
        self._watch_profiles()
        sweeping = Sweeping(store, self._blobs, {RETAINED_HOLDER: retained_check(store)})
        self._tasks.append(asyncio.create_task(sweeping.run(), name="blobs"))

    def _watch_profiles(self) -> None:
        """See to it that changed profiles are read; what is wrong with them the audit tells."""
        from gateway.pipeline import ProfileFiles

        path, interval_ms = self._config.profiles_path, self._config.rules_reload_ms
        if path is None or self._in_use is None:
            return
        load, tell = partial(load_profiles, [path]), self._in_use.tell_invalid
        files = self._profile_files = ProfileFiles(path, load, self._profiles, interval_ms, tell)
        self._tasks.append(asyncio.create_task(files.run(), name="profile files"))

    async def _open_desk(self, store: StreamStore, desk: GroupDesk) -> None:
        """Let members of consumer groups in other processes sign in."""
        host = DeskHost(store, self._clock, desk, self._config.data_dir)
        host.is_lasting = True
        if self._server is not None:
            self._server.hub.gate.watch(host.tables)
            usage = DeviceUsage(self._server.hub)
            host.requests["device-usage"] = usage.of
            self._server.readings.others |= usage.figures()
            host.requests["publish"] = self._server.publish
        try:
            await host.start()
        except OSError as error:
            logger.warning(
                "no socket in %s (%s): consumer groups can't be joined",
                self._config.data_dir,
                error,
            )
        else:
            self._desk_host = host

    @property
    def listeners(self) -> Sequence[str]:
        """Where the running gateway listens, what is spoken there and who gets in; for people."""
        return () if self._server is None else self._server.listeners.descriptions

    def reload(self) -> None:
        """Read the files of rules, TLS listeners and handlers again; nobody is disconnected."""
        if self._rules is not None:
            self._rules.touch()
        if self._server is not None:
            self._server.reload()
        if self._crew is not None:
            self._crew.reload()
        if self._profile_files is not None:
            self._profile_files.touch()

    def _device_topics(self, profiles: ProfileBook) -> list[str]:
        """The templates that tell the device of a topic, in their order."""
        return [*SERVICE_TEMPLATES, *profiles.templates, *self._config.device_topics]

    def _router(self) -> Router:
        return Router(
            stream_routes(self._config),
            DeviceTopics(self._device_topics(self._profiles)).device_of,
            partition_of,
            topic_levels_max=self._config.server.session.topic_levels_max,
            is_sealed=is_sealed,
        )

    async def run(
        self, ready: Callable[[list[tuple[str, int]]], None], stop: asyncio.Event
    ) -> None:
        """Start, say so, and run until `stop` is set or a part of the gateway fails.

        Raises:
            LoopEnded: a part ended by itself; everything was stopped in order.
        """
        try:
            ready(await self.start())
            stopping = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait(
                [stopping, *self._tasks], return_when=asyncio.FIRST_COMPLETED
            )
            stopping.cancel()
        finally:
            await self.stop()
        for task in done - {stopping}:
            error = None if task.cancelled() else task.exception()
            raise LoopEnded(f"'{task.get_name()}' ended: {error!r}") from error

    async def stop(self) -> None:
        """Stop listening, settle what was taken, let the rules save their state, close the log."""
        if self._server is not None:
            await self._server.stop()
        if self._rules is not None:
            await self._rules.stop()
        if self._crew is not None:
            await self._crew.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(StoreUnavailable):
            await self._save_totals()
        if self._desk_host is not None:
            await self._desk_host.stop()
        if self._store is not None:
            await self._store.close()

    async def _save_totals(self) -> None:
        """Write down what the flash has borne, and how far each stream went."""
        if self._wear is not None:
            await self._wear.look()
            await self._wear.save()
        if self._ledger is not None:
            await self._ledger.note()


def build_gateway(config: GatewayConfig, clock: Clock | None = None) -> Gateway:
    """Build a gateway from its configuration; nothing is opened yet.

    Raises:
        DocumentInvalid: the profiles are wrong; every error is listed.
        HandlerStreamUnknown: a handler reads a stream that there isn't.
    """
    if config.rules_path is None:
        # With rules, a handler may read what they emit: those are known when they are loaded.
        check_handlers(config.handlers, {stream.spec.name for stream in config.streams})
    profiles: ProfileBook | None = None
    if config.profiles_path is not None:
        profiles = load_profiles([config.profiles_path])
    return Gateway(config, clock or SystemClock(), profiles)
