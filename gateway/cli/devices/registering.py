"""`penstock devices add | list | show | rotate | revoke | disable | enable | remove | tag`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import orjson
import typer

from gateway.cli.devices.asking import NoGateway, ask_gateway
from gateway.cli.devices.quota_options import QUOTAS, parts_of, quota_of
from gateway.cli.devices.registry_access import (
    CONFIG,
    DATA,
    DeviceExists,
    NoSuchDevice,
    RegistryDesk,
    change_of,
    find,
    log_dir_of,
    read_registry,
    stamped,
)
from gateway.cli.main import fail
from gateway.cli.record_lines import iso_time
from gateway.clock import SystemClock
from gateway.devices import (
    DEVICE_ROLE,
    DEVICES_TABLE,
    ENTROPY_BYTES,
    NO_QUOTA,
    STATUSES,
    Device,
    key_of,
    new_key,
    rotated,
)
from gateway.errors import StoreError
from gateway.store import Change

BAD_USAGE = 2
ID = typer.Argument(help="Id of the device.")
JSON = typer.Option(False, "--json", help="Print one JSON object a line.")
TAGS = typer.Option([], "--tag", help="A tag, as name=text; may be given several times.")


def add(
    device: str = ID,
    profile: str = typer.Option("", help="Which profile the device has."),
    role: str = typer.Option(DEVICE_ROLE, help="device, operator, reader, or one of yours."),
    tag: list[str] = TAGS,
    quota: list[str] = QUOTAS,
    group: str = typer.Option("", help="An enrolment group by tokens or an authority; no key."),
    certificate: bool = typer.Option(
        False, "--certificate", help="It shows a client certificate; no key is made."
    ),
    password: bool = typer.Option(
        False, "--password", help="For people: ask for a password; no key is made."
    ),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = typer.Option(False, "--json", help="Print a JSON object."),
) -> None:
    """Register a device and print its key, which is shown this once."""
    has_key = not (certificate or password or group)
    secret = new_key(secrets.token_bytes(ENTROPY_BYTES)) if has_key else ""
    made = Device(
        device,
        role=role,
        profile=profile,
        tags=tags_of(tag),
        keys=(key_of(secret, SystemClock().now_ms()),) if secret else (),
        password=ask_password() if password else "",
        has_certificate=certificate,
        group=group,
        quota=quota_of(quota, NO_QUOTA),
    )
    data_dir = log_dir_of(data, config)
    is_first = asyncio.run(_add(RegistryDesk(data_dir), made))
    if json:
        print(orjson.dumps({"device": device, "key": secret or None}).decode())
        return
    print(f"{device}: registered in {data_dir.resolve()}")
    if secret:
        print(f"{device}: user name {device}, key {secret}")
        print("The key is not kept; it can't be shown again, only rotated.")
    if is_first:
        print("From now on clients are asked who they are, those that are connected when they come")
        print("back; 'access: {anonymous: loopback}' lets those of this machine in without.")


async def _add(desk: RegistryDesk, device: Device) -> bool:
    registry = await desk.read()
    if device.id in registry:
        raise DeviceExists(
            f"there is a device '{device.id}' already; 'penstock devices rotate' makes a new key"
        )
    await desk.change([change_of(registry, stamped(device, None))])
    return device.has_credentials and not registry.has_credentials


def ask_password() -> str:
    """Ask for a password twice and return what is kept of it."""
    # Slow to import, and seldom wanted.
    from gateway.server import hash_password

    text = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return hash_password(text)


def tags_of(texts: Sequence[str]) -> dict[str, str]:
    """Tags from `name=text`; bad ones end the command."""
    tags = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign):
            fail(f"--tag {text!r}: write name=text", BAD_USAGE)
        tags[name] = value
    return tags


def list_devices(
    pattern: str = typer.Argument("*", help="Which ids, such as 'pump-*'."),
    status: str = typer.Option("", help=f"Only those that are {', '.join(STATUSES)}."),
    profile: str = typer.Option("", help="Only those with this profile."),
    group: str = typer.Option("", help="Only those of this enrolment group."),
    tag: list[str] = TAGS,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """List the devices: status, role, profile, tags and when they changed."""
    if status and status not in STATUSES:
        fail(f"--status {status!r} is not one of {', '.join(STATUSES)}", BAD_USAGE)
    wanted = tags_of(tag).items()
    for device in asyncio.run(read_registry(log_dir_of(data, config))):
        if (
            fnmatchcase(device.id, pattern)
            and status in ("", device.status)
            and profile in ("", device.profile)
            and group in ("", device.group)
            and wanted <= device.tags.items()
        ):
            print(orjson.dumps(shown(device)).decode() if json else line_of(device))


def show(
    device: str = ID, data: Path | None = DATA, config: Path | None = CONFIG, json: bool = JSON
) -> None:
    """Show one device: everything but its secrets, which nobody keeps."""
    data_dir = log_dir_of(data, config)
    found = find(asyncio.run(read_registry(data_dir)), device)
    content = shown(found) | {"usage": asyncio.run(usage_of(data_dir, device))}
    if json:
        print(orjson.dumps(content).decode())
        return
    for name, value in content.items():
        print(f"{name + ':':<14} {text_of(value)}")


def rotate(
    device: str = ID,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = typer.Option(False, "--json", help="Print a JSON object."),
) -> None:
    """Make a new key; the one before stays valid until it is revoked or the next one is made."""
    secret = new_key(secrets.token_bytes(ENTROPY_BYTES))
    key = key_of(secret, SystemClock().now_ms())

    def edit(before: Device) -> Device:
        # Whoever has a key by hand has no need of the group any more.
        return msgspec.structs.replace(before, keys=rotated(before.keys, key), is_unused=False)

    after = _edit(data, config, device, edit)
    if json:
        print(orjson.dumps({"device": device, "key": secret}).decode())
        return
    print(f"{device}: new key {secret}")
    for old in after.keys[:-1]:
        print(f"{device}: the key {old.name} of {iso_time(old.created_ms)} is valid, too;")
        print(f"when nobody uses it any more: penstock devices revoke {device} {old.name}")


def revoke(
    device: str = ID,
    key: str = typer.Argument(help="Name of the key, as 'show' prints it."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
) -> None:
    """Let a key count no more; clients that came by it are sent away within a second."""

    def edit(before: Device) -> Device:
        kept = tuple(own for own in before.keys if own.name != key)
        if len(kept) == len(before.keys):
            raise NoSuchDevice(f"'{device}' has no key '{key}'; 'penstock devices show' lists them")
        return msgspec.structs.replace(before, keys=kept)

    _edit(data, config, device, edit)
    print(f"{device}: the key {key} counts no more")


def disable(device: str = ID, data: Path | None = DATA, config: Path | None = CONFIG) -> None:
    """Shut a device out; its clients are sent away within a second."""
    _edit(data, config, device, lambda one: msgspec.structs.replace(one, status="disabled"))
    print(f"{device}: disabled")


def enable(device: str = ID, data: Path | None = DATA, config: Path | None = CONFIG) -> None:
    """Let a device in again, or for the first time when it waits for approval."""
    _edit(data, config, device, lambda one: msgspec.structs.replace(one, status="active"))
    print(f"{device}: active")


def change(
    device: str = ID,
    profile: str | None = typer.Option(None, help="Its profile from now on."),
    role: str | None = typer.Option(None, help="Its role from now on."),
    tag: list[str] = typer.Option(
        [], "--tag", help="A tag to set, as name=text; 'name=' removes it."
    ),
    quota: list[str] = QUOTAS,
    group: str | None = typer.Option(None, help="Its enrolment group from now on."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
) -> None:
    """Change profile, role or tags; what a connected client may do changes at once."""
    wanted = tags_of(tag)

    def edit(before: Device) -> Device:
        tags = {name: text for name, text in {**before.tags, **wanted}.items() if text}
        return msgspec.structs.replace(
            before,
            profile=before.profile if profile is None else profile,
            role=before.role if role is None else role,
            tags=tags,
            quota=quota_of(quota, before.quota),
            group=before.group if group is None else group,
        )

    print(line_of(_edit(data, config, device, edit)))


def remove(device: str = ID, data: Path | None = DATA, config: Path | None = CONFIG) -> None:
    """Forget a device; its events stay in the log."""
    asyncio.run(_remove(RegistryDesk(log_dir_of(data, config)), device))
    print(f"{device}: removed")


async def _remove(desk: RegistryDesk, device: str) -> None:
    registry = await read_registry(desk.data_dir)
    find(registry, device)
    await desk.change([Change(DEVICES_TABLE, device, None, registry.encoded(device))])


def _edit(data: Path | None, config: Path | None, device: str, edit: Any) -> Device:
    return asyncio.run(RegistryDesk(log_dir_of(data, config)).edit(device, edit))


def shown(device: Device) -> dict[str, Any]:
    """An entry for people and programs; of keys only their names."""
    return {
        "device": device.id,
        "status": device.status,
        "role": device.role,
        "profile": device.profile,
        "tags": device.tags,
        "keys": [{"name": key.name, "created": iso_time(key.created_ms)} for key in device.keys],
        "password": bool(device.password),
        "certificate": device.has_certificate,
        "group": device.group,
        "unused": device.is_unused,
        "quota": parts_of(device.quota),
        "generation": device.generation,
        "created": iso_time(device.created_ms),
        "changed": iso_time(device.changed_ms),
    }


async def usage_of(data_dir: Path, device: str) -> dict[str, Any] | None:
    """What a device uses of its quota at present; None where no gateway runs."""
    try:
        return dict(await ask_gateway(data_dir, "device-usage", device))
    except (NoGateway, StoreError):
        return None


def text_of(value: Any) -> str:
    """A value of `shown` on one line."""
    if isinstance(value, dict):
        return " ".join(f"{name}={text}" for name, text in value.items()) or "-"
    if isinstance(value, list):
        names = [
            one if isinstance(one, str) else f"{one['name']} ({one['created']})" for one in value
        ]
        return ", ".join(names) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in (None, "") else str(value)


def line_of(device: Device) -> str:
    """An entry on one line."""
    tags = " ".join(f"{name}={text}" for name, text in device.tags.items())
    words = [device.id, device.status, device.role, device.profile or "-", tags or "-"]
    return "  ".join([*words, iso_time(device.changed_ms)])
