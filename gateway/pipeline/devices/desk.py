"""Every device service of a gateway: built, set to work, and asked by commands of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import orjson

from gateway.devices import (
    COMMAND,
    DEVICES_TABLE,
    TWIN,
    Command,
    DeviceInvalid,
    Job,
    JobWish,
    decode_device,
    read_object,
    read_wanted,
    read_wish,
    shown_command,
    shown_job,
)
from gateway.errors import ChangeRefused, PenstockError, StoreError, StoreUnavailable
from gateway.pipeline.devices.commands import CommandService, new_command
from gateway.pipeline.devices.jobs import JobRunner
from gateway.pipeline.devices.loop import Around, ServiceLoop
from gateway.pipeline.devices.turns import GATEWAY_CLIENT, RETRY_S, Turn
from gateway.pipeline.devices.twins import TAGS_TABLE, TwinService, shown_twin
from gateway.store import Change

DEVICES_AT_ONCE = 500
Sending = Callable[[Turn], Awaitable[tuple[Command, "asyncio.Future[Command]"]]]
Request = Callable[..., Awaitable[Any]]


class DeviceDesk:
    """The services together; `requests` are what the gateway's socket answers, by name."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._twin_service = TwinService(around.is_heard)
        self.twins = ServiceLoop(self._twin_service, around)
        self._command_service = CommandService(around.is_heard)
        self.commands = ServiceLoop(self._command_service, around)
        self._jobs = JobRunner(
            around.store,
            around.clock.now_ms,
            {
                "set": (self.twins, self._set_for_job),
                "command": (self.commands, self._send_for_job),
            },
        )
        self._registered: dict[str, bytes | None] = {}
        self._called = asyncio.Event()
        self.requests: Mapping[str, Request] = {
            "twin.set": self.set_twin,
            "command.send": self.send_command,
            "command.await": self.await_command,
            "command.cancel": self.cancel_command,
            "job.start": self.start_job,
            "job.cancel": self.cancel_job,
        }

    @property
    def welcomes(self) -> Mapping[str, Callable[[str], None]]:
        """Who wants to hear of a device for which somebody begins to listen, by root."""
        return {TWIN: self.twins.note_arrival, COMMAND: self.commands.note_arrival}

    def start(self) -> list[asyncio.Task[None]]:
        """Set every service to work; the tasks last as long as they do."""
        loops = self.twins, self.commands
        return [
            *(asyncio.create_task(loop.run(), name=loop.service.group) for loop in loops),
            asyncio.create_task(self._follow_registry(), name="device registry"),
            asyncio.create_task(self._jobs.run(), name="device jobs"),
        ]

    async def set_twin(
        self, device: str, patch: bytes, if_version: int | None, by: str
    ) -> dict[str, Any]:
        """Change what is wanted of a device, for a command of this machine's user.

        Raises:
            ChangeRefused: the version is another one, or a limit would be passed.
        """

        async def act(turn: Turn) -> dict[str, Any]:
            wanted = read_object(patch)
            return shown_twin(await self._twin_service.wish(device, wanted, by, turn, if_version))

        return await self.twins.ask(act)

    async def send_command(
        self, device: str, command_id: str, wanted: bytes, by: str
    ) -> dict[str, Any]:
        """Give a device a command; returns how it stands then.

        Raises:
            ChangeRefused: it can't be so, or too many are waiting.
        """
        command, _ = await self.commands.ask(self._sending(device, command_id, wanted, by))
        return shown_command(command)

    async def await_command(
        self, device: str, command_id: str, wanted: bytes, by: str
    ) -> dict[str, Any]:
        """As `send_command`; returns what became of it.

        Raises:
            ChangeRefused: it can't be so, or too many are waiting.
            StoreUnavailable: the gateway stops; the command goes on when it is back.
        """
        _, outcome = await self.commands.ask(self._sending(device, command_id, wanted, by))
        return shown_command(await outcome)

    def _sending(self, device: str, command_id: str, wanted: bytes, by: str) -> Sending:
        async def act(turn: Turn) -> tuple[Command, asyncio.Future[Command]]:
            command = new_command(device, command_id, read_wanted(wanted), by, turn.now_ms)
            command = await self._command_service.send(command, turn)
            return command, self._command_service.outcome(command)

        return act

    async def cancel_command(self, device: str, command_id: str) -> dict[str, Any]:
        """End a command that is pending.

        Raises:
            ChangeRefused: there is none, or it has ended.
        """

        async def act(turn: Turn) -> Command:
            return await self._command_service.cancel(device, command_id, turn)

        return shown_command(await self.commands.ask(act))

    # -- jobs

    async def start_job(self, wish: bytes) -> dict[str, Any]:
        """Do something to many devices; returns the job as it begins.

        Raises:
            ChangeRefused: it can't be so, or too many jobs are running.
        """
        return await _shown(lambda: self._jobs.start(read_wish(wish)))

    async def cancel_job(self, job_id: str) -> dict[str, Any]:
        """Let a job do nothing more.

        Raises:
            ChangeRefused: there is none, or it has ended.
        """
        return await _shown(lambda: self._jobs.cancel(job_id))

    async def _set_for_job(self, device: str, wish: JobWish, turn: Turn) -> None:
        await self._twin_service.wish(device, wish.content, by_job(wish), turn)

    async def _send_for_job(self, device: str, wish: JobWish, turn: Turn) -> None:
        wanted = read_wanted(orjson.dumps(wish.content))
        command = new_command(device, wish.id, wanted, by_job(wish), turn.now_ms)
        await self._command_service.send(command, turn)

    # -- tags of the registry

    def registry_changed(self, changes: Sequence[Change]) -> None:
        """Hear of changes of the registry, which are durable."""
        for change in changes:
            self._registered[change.key] = change.value
        self._called.set()

    async def _follow_registry(self) -> None:
        """Tell the log of the tags of devices, from what they were at the last stop on."""
        registered = await self._changed_meanwhile()
        # What has changed since then is newer than what was read.
        self._registered = registered | self._registered
        while True:
            while self._registered:
                taken = dict(islice(self._registered.items(), DEVICES_AT_ONCE))
                for device in taken:
                    del self._registered[device]
                try:
                    await self.twins.ask(partial(self._take_registry, taken))
                except StoreError:
                    self._registered = taken | self._registered
                    await asyncio.sleep(RETRY_S)
            self._called.clear()
            await self._called.wait()

    async def _changed_meanwhile(self) -> dict[str, bytes | None]:
        """Entries of the registry whose tags the log doesn't know yet, or not any more."""
        told, registered = await self._entries(TAGS_TABLE), await self._entries(DEVICES_TABLE)
        changed: dict[str, bytes | None] = {}
        for count, (device, encoded) in enumerate(registered.items(), start=1):
            if _tags_of(encoded) != orjson.loads(told.get(device, b"{}")):
                changed[device] = encoded
            if count % DEVICES_AT_ONCE == 0:
                await asyncio.sleep(0)
        return changed | dict.fromkeys(told.keys() - registered.keys())

    async def _entries(self, table: str) -> dict[str, bytes]:
        while True:
            try:
                return dict(await self._around.store.entries(table))
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)

    async def _take_registry(self, entries: Mapping[str, bytes | None], turn: Turn) -> None:
        for device, encoded in entries.items():
            if encoded is None:
                await self._twin_service.remove(device, GATEWAY_CLIENT, turn)
            else:
                await self._twin_service.take_tags(device, _tags_of(encoded), GATEWAY_CLIENT, turn)


async def _shown(act: Callable[[], Awaitable[Job]]) -> dict[str, Any]:
    """How a job stands after an act; refusals travel as errors of the store do."""
    try:
        return shown_job(await act())
    except StoreError:
        raise
    except PenstockError as error:
        raise ChangeRefused(str(error)) from error


def by_job(wish: JobWish) -> str:
    """Who does what a job does."""
    return f"{wish.by}, job {wish.id}"


def _tags_of(encoded: bytes) -> dict[str, str]:
    """The tags of an entry of the registry; none, if it can't be read."""
    try:
        return decode_device(encoded).tags
    except DeviceInvalid:
        return {}
