"""`penstock devices import | export`: the registry as a CSV or JSON file."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Container, Sequence
from pathlib import Path

import msgspec
import orjson
import typer

from gateway.cli.devices.registry_access import (
    CONFIG,
    DATA,
    RegistryDesk,
    change_of,
    in_chunks,
    log_dir_of,
    read_registry,
    stamped,
)
from gateway.cli.devices.rows import (
    complaint_of,
    device_of,
    merged,
    read_rows,
    row_of,
    write_csv,
)
from gateway.clock import SystemClock
from gateway.devices import (
    ENTROPY_BYTES,
    Device,
    DeviceInvalid,
    Registry,
    key_of,
    new_key,
)
from gateway.errors import Complaint, DocumentInvalid, PenstockError

COMPLAINTS_MAX = 20
PRIVATE_MODE = 0o600


class FileNotUsable(PenstockError):
    """A file can't be read or written."""


def import_devices(
    file: Path = typer.Argument(help="CSV with a header, or JSON objects."),
    update: bool = typer.Option(False, help="Change devices that are registered already."),
    new_keys: Path | None = typer.Option(
        None, help="Make keys for those without credentials, and write them to this file."
    ),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
) -> None:
    """Register many devices from a file: all of it is checked before anything is changed."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FileNotUsable(f"can't read {file}: {error}") from error
    devices = read_devices(text, str(file))
    keys: dict[str, str] = {}
    if new_keys is not None:
        devices = [with_key(device, keys) for device in devices]
    desk = RegistryDesk(log_dir_of(data, config))
    before = asyncio.run(desk.read())
    if not update:
        refuse_known(devices, before, str(file))
    if new_keys is not None:
        write_private(new_keys, keys)
    asyncio.run(_write(desk, before, devices))
    print(f"{len(devices)} devices registered in {desk.data_dir.resolve()}")


def read_devices(text: str, path: str) -> list[Device]:
    """The entries of a file, in its order.

    Raises:
        DocumentInvalid: carries what is wrong, each with its line, the first twenty of them.
    """
    now_ms = SystemClock().now_ms()
    found: dict[str, Device] = {}
    complaints: list[Complaint] = []
    for row in read_rows(text, path):
        try:
            device = device_of(row, now_ms)
            check_new(device, found)
            found[device.id] = device
        except DeviceInvalid as error:
            complaints.append(complaint_of(row, path, error))
            if len(complaints) >= COMPLAINTS_MAX:
                break
    if complaints:
        raise DocumentInvalid(complaints)
    return list(found.values())


def check_new(device: Device, found: Container[str]) -> None:
    """See that a file says everything of a device in one row.

    Raises:
        DeviceInvalid: it doesn't.
    """
    if device.id in found:
        raise DeviceInvalid(f"'{device.id}' stands in the file twice")


def refuse_known(devices: Sequence[Device], registry: Registry, path: str) -> None:
    """See that none of the devices is registered.

    Raises:
        DocumentInvalid: some are.
    """
    known = [device.id for device in devices if device.id in registry]
    if known:
        message = f"'{known[0]}' and {len(known) - 1} others are registered already; see --update"
        raise DocumentInvalid([Complaint(path, 1, 1, message)])


def with_key(device: Device, keys: dict[str, str]) -> Device:
    """The device with a new key, which `keys` takes, unless it has credentials."""
    if device.has_credentials:
        return device
    keys[device.id] = new_key(secrets.token_bytes(ENTROPY_BYTES))
    key = key_of(keys[device.id], SystemClock().now_ms())
    return msgspec.structs.replace(device, keys=(key,))


def write_private(path: Path, keys: dict[str, str]) -> None:
    """Write keys to a new file that nobody else may read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    except OSError as error:
        raise FileNotUsable(f"can't write {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as output:
        output.write("device,key\n")
        output.writelines(f"{device},{key}\n" for device, key in keys.items())


async def _write(desk: RegistryDesk, registry: Registry, devices: Sequence[Device]) -> None:
    changes = []
    for device in devices:
        before = registry.get(device.id)
        changes.append(change_of(registry, stamped(merged(before, device), before)))
    # Neighbours are looked up together.
    changes.sort(key=lambda change: change.key)
    for chunk in in_chunks(changes):
        await desk.change(chunk)


def export_devices(
    file: Path | None = typer.Argument(None, help="Where to; standard output if left out."),
    csv: bool = typer.Option(False, "--csv", help="CSV instead of one JSON object a line."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
) -> None:
    """Write the registry to a file that `import` reads: of keys what is kept, never themselves."""
    registry = asyncio.run(read_registry(log_dir_of(data, config)))
    is_csv = csv or (file is not None and file.suffix == ".csv")
    if is_csv:
        text = write_csv(registry)
    else:
        text = "".join(orjson.dumps(row_of(device)).decode() + "\n" for device in registry)
    if file is None:
        sys.stdout.write(text)
        return
    try:
        file.write_text(text)
    except OSError as error:
        raise FileNotUsable(f"can't write {file}: {error.strerror}") from error
    print(f"{len(registry)} devices written to {file}")
