"""The registry as commands see it: read from the log, changed by whoever writes the log."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from gateway.clock import SystemClock
from gateway.config import load_config
from gateway.devices import (
    DEVICES_TABLE,
    Device,
    Registry,
    check_device,
    encode_device,
)
from gateway.documents import did_you_mean
from gateway.errors import ChangeRefused, PenstockError, StoreUnavailable
from gateway.store import (
    Change,
    RemoteDesk,
    StoreOptions,
    StreamStore,
    TableDesk,
    desk_of,
    open_reader,
    open_store,
)

DATA_DIR = Path("penstock-data")
DEFAULT_CONFIG = Path("config/gateway.yaml")
DATA = typer.Option(None, "--data", help="Data directory of the gateway.")
CONFIG = typer.Option(None, help="Configuration file, for the data directory.")
TRIES = 5
CHUNK = 1_000


class NoSuchDevice(PenstockError):
    """The registry has no such entry."""


class DeviceExists(PenstockError):
    """The registry has such an entry already."""


def log_dir_of(data: Path | None, config: Path | None) -> Path:
    """The data directory: the option, or what the configuration says, or the default."""
    if data is not None:
        return data
    if config is not None or DEFAULT_CONFIG.is_file():
        return load_config(config or DEFAULT_CONFIG).data_dir
    return DATA_DIR


def by_whom() -> str:
    """Who makes the changes of a command, for the audit."""
    try:
        return f"{getpass.getuser()} at the command line"
    except (KeyError, OSError):
        return "the command line"


async def read_registry(data_dir: Path) -> Registry:
    """The registry as it is.

    Raises:
        StoreUnavailable: there is no log yet.
    """
    reader = await open_reader(data_dir)
    try:
        return Registry(dict(await reader.entries(DEVICES_TABLE)))
    finally:
        await reader.close()


@dataclass(frozen=True, slots=True)
class RegistryDesk:
    """Changes the registry, beside a running gateway or on a stopped one."""

    data_dir: Path

    @asynccontextmanager
    async def _desk(self) -> AsyncIterator[RemoteDesk]:
        clock = SystemClock()

        async def prepare(store: StreamStore, tables: TableDesk) -> None:
            # Slow to import, and a running gateway sees to it itself.
            from gateway.server import audit_edits

            await audit_edits(store, tables, clock)

        async with desk_of(self.data_dir, clock, prepare) as access:
            yield access.desk

    async def read(self) -> Registry:
        """The registry as it is; a log is made where there is none, before the first start."""
        try:
            return await read_registry(self.data_dir)
        except StoreUnavailable:
            await (await open_store(StoreOptions(self.data_dir), SystemClock())).close()
            return await read_registry(self.data_dir)

    async def change(self, changes: Sequence[Change]) -> None:
        """Make all of the changes or none, some at a time if a gateway wants the directory.

        Raises:
            ChangeRefused: somebody else has changed one of them.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                async with self._desk() as desk:
                    await desk.change(changes, by_whom())
                    return
            except StoreUnavailable:
                if not tries_left:
                    raise

    async def edit(self, device_id: str, edit: Callable[[Device], Device]) -> Device:
        """Change one entry; returns what it is then.

        Raises:
            NoSuchDevice: there is none.
            DeviceInvalid: it can't be so.
        """
        for tries_left in reversed(range(TRIES)):
            registry = await read_registry(self.data_dir)
            before = find(registry, device_id)
            after = stamped(edit(before), before)
            try:
                await self.change([change_of(registry, after)])
            except ChangeRefused:
                if not tries_left:
                    raise
            else:
                return after
        raise AssertionError  # pragma: no cover - the last try returns or raises


def find(registry: Registry, device_id: str) -> Device:
    """One entry.

    Raises:
        NoSuchDevice: there is none.
    """
    device = registry.get(device_id)
    if device is None:
        known = [one.id for one in registry]
        raise NoSuchDevice(f"there is no device '{device_id}'{did_you_mean(device_id, known)}")
    return device


def stamped(device: Device, before: Device | None) -> Device:
    """An entry with its generation and times as they are after a change."""
    import msgspec

    now_ms = SystemClock().now_ms()
    generation = 1 if before is None else before.generation + 1
    created_ms = now_ms if before is None else before.created_ms
    return msgspec.structs.replace(
        device, generation=generation, created_ms=created_ms, changed_ms=now_ms
    )


def change_of(registry: Registry, device: Device) -> Change:
    """The change that makes an entry what it is to be.

    Raises:
        DeviceInvalid: it can't be so.
    """
    check_device(device)
    before = registry.encoded(device.id)
    return Change(DEVICES_TABLE, device.id, encode_device(device), before)


def in_chunks(changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
    """Changes in the numbers that are made at once."""
    for start in range(0, len(changes), CHUNK):
        yield changes[start : start + CHUNK]
