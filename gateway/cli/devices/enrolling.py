"""`penstock devices enrol`: groups that make devices known, and the devices that wait for it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import orjson
import typer

from gateway.cli.devices.enrolment_access import add_group, edit_group, find_group, read_groups
from gateway.cli.devices.registering import line_of, shown, tags_of, text_of
from gateway.cli.devices.registry_access import (
    CONFIG,
    DATA,
    NoSuchDevice,
    RegistryDesk,
    log_dir_of,
    read_registry,
)
from gateway.cli.main import fail
from gateway.cli.record_lines import iso_time
from gateway.clock import SystemClock
from gateway.devices import (
    APPROVALS,
    DEVICE_ROLE,
    ENTROPY_BYTES,
    Device,
    DeviceInvalid,
    EnrolmentGroup,
    GroupKind,
    Registry,
    group_key,
    new_key,
    rotated_keys,
)
from gateway.documents import parse_duration_ms
from gateway.errors import StoreUnavailable

BAD_USAGE = 2
NEVER = "never"
MS_PER_S = 1_000
app = typer.Typer(no_args_is_help=True)

GROUP = typer.Argument(help="Name of the group.")
JSON = typer.Option(False, "--json", help="Print one JSON object a line.")
PATTERN = typer.Option("", help="Ids that it vouches for, such as 'pump-*'.")
APPROVE = typer.Option("", help="auto, or manual: each newcomer waits for 'approve'.")
TAGS = typer.Option(
    [], "--tag", help="A tag of its devices, name=text; may be given several times."
)
DEVICES = typer.Option(0, help="How many devices it may have at most [default: 1000].")
PER_MINUTE = typer.Option(0, help="How many may come in a minute [default: 600].")
EXPIRES = typer.Option("", help="When it takes no more: 30d from now, 2027-01-31, or never.")


@app.callback()
def enrol() -> None:
    """Let devices become known by themselves, in groups."""


@app.command()
def create(
    group: str = GROUP,
    pattern: str = typer.Option(..., help="Ids that it vouches for, such as 'pump-*'."),
    kind: str = typer.Option(
        "", help="claim (devices show its key once), token (a service signs with its key)."
    ),
    ca: Path | None = typer.Option(
        None, help="Instead of a key: the certificate (PEM) of who signs those of its devices."
    ),
    approve: str = APPROVE,
    role: str = typer.Option(DEVICE_ROLE, help="Role of its devices."),
    profile: str = typer.Option("", help="Profile of its devices."),
    tag: list[str] = TAGS,
    devices: int = DEVICES,
    per_minute: int = PER_MINUTE,
    expires: str = EXPIRES,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = typer.Option(False, "--json", help="Print a JSON object."),
) -> None:
    """Make a group and print its key, which is shown this once."""
    if ca is not None and kind:
        fail("use one of --ca and --kind", BAD_USAGE)
    chosen: GroupKind = "authority" if ca is not None else _kind(kind or "claim")
    secret = "" if ca is not None else new_key(secrets.token_bytes(ENTROPY_BYTES))
    now_ms = SystemClock().now_ms()
    made = EnrolmentGroup(
        group,
        chosen,
        pattern,
        role=role,
        profile=profile,
        tags=tags_of(tag),
        keys=(group_key(secret, chosen, now_ms),) if secret else (),
        authorities=() if ca is None else (read_authority(ca),),
    )
    made = _with(made, approve=approve, devices=devices, per_minute=per_minute, expires=expires)
    data_dir = log_dir_of(data, config)
    is_first = asyncio.run(add_group(RegistryDesk(data_dir), made))
    _tell_key(group, chosen, secret, json=json)
    if is_first and not json:
        print("From now on clients are asked who they are, those that are connected when they come")
        print("back; 'access: {anonymous: loopback}' lets those of this machine in without.")


def _kind(text: str) -> GroupKind:
    """The kind of a group with a key; a bad one ends the command."""
    if text not in ("claim", "token"):
        fail(f"--kind {text!r} is not claim or token; --ca makes the third", BAD_USAGE)
    return "claim" if text == "claim" else "token"


def _tell_key(group: str, kind: str, secret: str, *, json: bool) -> None:
    if json:
        print(orjson.dumps({"group": group, "kind": kind, "key": secret or None}).decode())
        return
    if not secret:
        print(f"{group}: its authority vouches for devices; the listener's 'ca' must have it, too")
        return
    user = f"user name enrol/{group}, " if kind == "claim" else ""
    print(f"{group}: {user}key {secret}")
    print("The key is not kept; it can't be shown again, only rotated.")


def read_authority(path: Path) -> bytes:
    """What is kept of the certificate of an authority: its SHA-256.

    Raises:
        DeviceInvalid: the file has none, or several.
    """
    try:
        text = path.read_text()
        if text.count("-----BEGIN CERTIFICATE-----") != 1:
            raise DeviceInvalid(f"{path}: one certificate in PEM is needed")
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text.strip())).digest()
    except (OSError, ValueError) as error:
        raise DeviceInvalid(f"can't read a certificate from {path}: {error}") from error


def _with(
    group: EnrolmentGroup, *, approve: str, devices: int, per_minute: int, expires: str
) -> EnrolmentGroup:
    """A group with what the options say; bad ones end the command."""
    changed: dict[str, Any] = {}
    if approve:
        if approve not in APPROVALS:
            fail(f"--approve {approve!r} is not one of {', '.join(APPROVALS)}", BAD_USAGE)
        changed["approve"] = approve
    if devices:
        changed["devices_max"] = devices
    if per_minute:
        changed["per_minute"] = per_minute
    if expires:
        changed["expires_ms"] = moment_of(expires, SystemClock().now_ms())
    return msgspec.structs.replace(group, **changed)


def moment_of(text: str, now_ms: int) -> int:
    """A moment as people write it: a duration from now, an ISO time, or never, which is 0."""
    if text == NEVER:
        return 0
    duration_ms = parse_duration_ms(text)
    if duration_ms is not None:
        return now_ms + duration_ms
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except ValueError:
        fail(f"--expires {text!r} is no duration (30d), time (2027-01-31) or 'never'", BAD_USAGE)
    return int(moment.timestamp() * MS_PER_S)


@app.command()
def change(
    group: str = GROUP,
    pattern: str = PATTERN,
    approve: str = APPROVE,
    devices: int = DEVICES,
    per_minute: int = PER_MINUTE,
    expires: str = EXPIRES,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
) -> None:
    """Change what a group may do; the devices that it has made known stay as they are."""

    def edit(before: EnrolmentGroup) -> EnrolmentGroup:
        after = _with(
            before, approve=approve, devices=devices, per_minute=per_minute, expires=expires
        )
        return msgspec.structs.replace(after, pattern=pattern or before.pattern)

    print(group_line(_edit(data, config, group, edit), None))


@app.command()
def rotate(
    group: str = GROUP,
    ca: Path | None = typer.Option(None, help="For a group with an authority: the next one."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = typer.Option(False, "--json", help="Print a JSON object."),
) -> None:
    """Make a new key; the one before stays valid until it is revoked or the next one is made."""
    secret = new_key(secrets.token_bytes(ENTROPY_BYTES))

    def edit(before: EnrolmentGroup) -> EnrolmentGroup:
        if (before.kind == "authority") != (ca is not None):
            raise DeviceInvalid(f"'{group}' is a group by {before.kind}; --ca is for authorities")
        if ca is not None:
            signs = (*before.authorities[-1:], read_authority(ca))
            return msgspec.structs.replace(before, authorities=signs)
        key = group_key(secret, before.kind, SystemClock().now_ms())
        return msgspec.structs.replace(before, keys=rotated_keys(before.keys, key))

    after = _edit(data, config, group, edit)
    _tell_key(group, after.kind, "" if ca is not None else secret, json=json)
    for old in names_of(after)[:-1]:
        print(f"{group}: {old} is valid, too, until: penstock devices enrol revoke {group} {old}")


@app.command()
def revoke(
    group: str = GROUP,
    key: str = typer.Argument("", help="Name of one key, as 'show' prints it; else the group."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
) -> None:
    """Let a group, or one key of it, vouch for nobody any more, for good.

    Who is here by its tokens, certificates or claims is sent away; devices with keys of their own
    stay.
    """

    def edit(before: EnrolmentGroup) -> EnrolmentGroup:
        if not key:
            return msgspec.structs.replace(before, status="revoked")
        if key not in names_of(before):
            raise NoSuchDevice(f"'{group}' has no key '{key}'; 'enrol show' lists them")
        return msgspec.structs.replace(
            before,
            keys=tuple(own for own in before.keys if own.name != key),
            authorities=tuple(own for own in before.authorities if name_of(own) != key),
        )

    _edit(data, config, group, edit)
    print(f"{group}: the key {key} counts no more" if key else f"{group}: revoked")


@app.command("list")
def list_groups(data: Path | None = DATA, config: Path | None = CONFIG, json: bool = JSON) -> None:
    """List the groups: status, kind, pattern, and how many devices they have made known."""
    groups, registry = asyncio.run(_read(log_dir_of(data, config)))
    for group in groups.values():
        count = registry.count_of(group.id)
        print(
            orjson.dumps(shown_group(group, count)).decode() if json else group_line(group, count)
        )


@app.command()
def show(
    group: str = GROUP, data: Path | None = DATA, config: Path | None = CONFIG, json: bool = JSON
) -> None:
    """Show one group: everything but its key, which nobody keeps."""
    groups, registry = asyncio.run(_read(log_dir_of(data, config)))
    content = shown_group(find_group(groups, group), registry.count_of(group))
    if json:
        print(orjson.dumps(content).decode())
        return
    for name, value in content.items():
        print(f"{name + ':':<14} {text_of(value)}")


@app.command()
def pending(
    pattern: str = typer.Argument("*", help="Which ids, such as 'pump-*'."),
    group: str = typer.Option("", help="Only those of this group."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """List the devices that wait for approval."""
    for device in waiting(asyncio.run(read_registry(log_dir_of(data, config))), pattern, group):
        print(orjson.dumps(shown(device)).decode() if json else line_of(device))


@app.command()
def approve(
    devices: list[str] = typer.Argument(help="Ids of devices, or patterns such as 'pump-*'."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
) -> None:
    """Let devices in that wait for it; who asked for a key and is still there gets it at once."""
    _settle(log_dir_of(data, config), devices, "active", "approved")


@app.command()
def deny(
    devices: list[str] = typer.Argument(help="Ids of devices, or patterns such as 'pump-*'."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
) -> None:
    """Shut devices out that wait; 'penstock devices remove' forgets that they ever asked."""
    _settle(log_dir_of(data, config), devices, "disabled", "denied")


def _settle(data_dir: Path, patterns: Sequence[str], status: str, verb: str) -> None:
    desk = RegistryDesk(data_dir)
    registry = asyncio.run(read_registry(data_dir))
    for pattern in patterns:
        found = waiting(registry, pattern, "")
        if not found:
            raise NoSuchDevice(f"no device '{pattern}' waits for approval; see 'enrol pending'")
        for device in found:
            asyncio.run(
                desk.edit(device.id, lambda one: msgspec.structs.replace(one, status=status))
            )
            print(f"{device.id}: {verb}")


def waiting(registry: Registry, pattern: str, group: str) -> list[Device]:
    """The devices that wait for approval, by id."""
    found = [one for one in registry if one.status == "pending" and fnmatchcase(one.id, pattern)]
    return sorted((one for one in found if group in ("", one.group)), key=lambda one: one.id)


async def _read(data_dir: Path) -> tuple[dict[str, EnrolmentGroup], Registry]:
    return await read_groups(data_dir), await read_registry(data_dir)


def _edit(
    data: Path | None,
    config: Path | None,
    group: str,
    edit: Callable[[EnrolmentGroup], EnrolmentGroup],
) -> EnrolmentGroup:
    try:
        return asyncio.run(edit_group(RegistryDesk(log_dir_of(data, config)), group, edit))
    except StoreUnavailable as error:
        raise NoSuchDevice(f"there is no enrolment group '{group}': {error}") from error


def name_of(authority: bytes) -> str:
    """How people tell authorities apart."""
    return authority[:4].hex()


def names_of(group: EnrolmentGroup) -> list[str]:
    """The names of a group's keys or authorities, oldest first."""
    return [*(key.name for key in group.keys), *map(name_of, group.authorities)]


def shown_group(group: EnrolmentGroup, count: int) -> dict[str, Any]:
    """A group for people and programs; of keys only their names."""
    return {
        "group": group.id,
        "status": group.status,
        "kind": group.kind,
        "pattern": group.pattern,
        "approve": group.approve,
        "role": group.role,
        "profile": group.profile,
        "tags": group.tags,
        "keys": [{"name": key.name, "created": iso_time(key.created_ms)} for key in group.keys],
        "authorities": [one.hex() for one in group.authorities],
        "devices": count,
        "devices_max": group.devices_max,
        "per_minute": group.per_minute,
        "expires": iso_time(group.expires_ms) if group.expires_ms else None,
        "generation": group.generation,
        "changed": iso_time(group.changed_ms),
    }


def group_line(group: EnrolmentGroup, count: int | None) -> str:
    """A group on one line."""
    ends = iso_time(group.expires_ms) if group.expires_ms else NEVER
    words = [group.id, group.status, group.kind, group.pattern, f"approve {group.approve}"]
    if count is not None:
        words.append(f"{count} of {group.devices_max} devices")
    return "  ".join([*words, f"until {ends}"])
