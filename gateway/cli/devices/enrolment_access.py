"""Enrolment groups as commands see them: read from the log, changed by whoever writes the log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.cli.devices.registry_access import TRIES, DeviceExists, NoSuchDevice, RegistryDesk
from gateway.clock import SystemClock
from gateway.devices import (
    GROUPS_TABLE,
    EnrolmentGroup,
    check_group,
    decode_group,
    encode_group,
)
from gateway.documents import did_you_mean
from gateway.errors import ChangeRefused
from gateway.store import Change, open_reader


async def read_groups(data_dir: Path) -> dict[str, EnrolmentGroup]:
    """Every group, by name.

    Raises:
        StoreUnavailable: there is no log yet.
    """
    reader = await open_reader(data_dir)
    try:
        found = await reader.entries(GROUPS_TABLE)
    finally:
        await reader.close()
    return {name: decode_group(encoded) for name, encoded in found}


def find_group(groups: dict[str, EnrolmentGroup], name: str) -> EnrolmentGroup:
    """One group.

    Raises:
        NoSuchDevice: there is none.
    """
    if name not in groups:
        raise NoSuchDevice(f"there is no enrolment group '{name}'{did_you_mean(name, groups)}")
    return groups[name]


async def add_group(desk: RegistryDesk, group: EnrolmentGroup) -> bool:
    """Make a group; returns whether clients are asked who they are because of that.

    Raises:
        DeviceExists: there is one of that name.
        DeviceInvalid: it can't be so.
    """
    check_group(group)
    registry = await desk.read()
    groups = await read_groups(desk.data_dir)
    if group.id in groups:
        raise DeviceExists(f"there is a group '{group.id}' already")
    now_ms = SystemClock().now_ms()
    made = msgspec.structs.replace(group, created_ms=now_ms, changed_ms=now_ms)
    await desk.change([Change(GROUPS_TABLE, group.id, encode_group(made), None)])
    return not (groups or registry.has_credentials)


async def edit_group(
    desk: RegistryDesk, name: str, edit: Callable[[EnrolmentGroup], EnrolmentGroup]
) -> EnrolmentGroup:
    """Change a group; returns what it is then.

    Raises:
        NoSuchDevice: there is none.
        DeviceInvalid: it can't be so.
    """
    for tries_left in reversed(range(TRIES)):
        before = find_group(await read_groups(desk.data_dir), name)
        after = msgspec.structs.replace(
            edit(before),
            generation=before.generation + 1,
            changed_ms=SystemClock().now_ms(),
        )
        check_group(after)
        try:
            await desk.change(
                [Change(GROUPS_TABLE, name, encode_group(after), encode_group(before))]
            )
        except ChangeRefused:
            if not tries_left:
                raise
        else:
            return after
    raise AssertionError  # pragma: no cover - the last try returns or raises
