from __future__ import annotations

import msgspec
import pytest

from gateway.cli.devices.enrolment_access import add_group, edit_group, find_group, read_groups
from gateway.cli.devices.registry_access import DeviceExists, NoSuchDevice, RegistryDesk
from gateway.devices import DeviceInvalid, EnrolmentGroup, group_key, new_key
from gateway.errors import ChangeRefused, StoreUnavailable

LINE = EnrolmentGroup("line", "claim", "p-*", keys=(group_key(new_key(bytes(32)), "claim", 0),))
replace = msgspec.structs.replace


async def test_a_group_is_made_once_and_changed_by_whoever_has_its_latest(tmp_path):
    desk = RegistryDesk(tmp_path)
    with pytest.raises(StoreUnavailable):
        await read_groups(tmp_path)
    await add_group(desk, LINE)
    with pytest.raises(DeviceExists, match="there is a group 'line' already"):
        await add_group(desk, LINE)
    after = await edit_group(desk, "line", lambda one: replace(one, pattern="q-*"))
    assert (after.pattern, after.generation) == ("q-*", 2)
    assert await read_groups(tmp_path) == {"line": after}
    with pytest.raises(DeviceInvalid):
        await edit_group(desk, "line", lambda one: replace(one, pattern=""))
    with pytest.raises(NoSuchDevice, match="did you mean 'line'"):
        await edit_group(desk, "lime", lambda one: one)


async def test_a_change_that_comes_too_late_is_tried_again(tmp_path, monkeypatch):
    desk = RegistryDesk(tmp_path)
    await add_group(desk, LINE)
    tries = []

    async def refuse(self, changes):
        tries.append(changes)
        raise ChangeRefused("somebody else")

    monkeypatch.setattr(RegistryDesk, "change", refuse)
    with pytest.raises(ChangeRefused):
        await edit_group(desk, "line", lambda one: one)
    assert len(tries) == 5


def test_a_group_that_there_is_not_has_a_neighbour():
    with pytest.raises(NoSuchDevice, match="there is no enrolment group 'x'"):
        find_group({"line": LINE}, "x")
