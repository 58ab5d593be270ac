from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from gateway.cli.devices import app
from gateway.clock import SystemClock
from gateway.devices import DEVICES_TABLE, DeviceInvalid, decode_device, matching_key
from gateway.errors import PenstockError
from gateway.store import DeskHost, GroupDesk, StoreOptions, open_store

CLOCK = SystemClock()


def run(data_dir, *arguments, text=None):
    result = CliRunner().invoke(app, [*map(str, arguments), "--data", str(data_dir)], input=text)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def show(data_dir, device):
    return json.loads(run(data_dir, "show", device, "--json"))


def ids(data_dir, *arguments):
    lines = run(data_dir, "list", "--json", *arguments).splitlines()
    return [json.loads(line)["device"] for line in lines]


def test_a_device_is_added_before_the_first_start_and_its_key_is_shown_once(tmp_path):
    printed = run(tmp_path / "log", "add", "p-7", "--profile", "pump", "--tag", "site=north")
    secret = printed.partition("key ")[2].split()[0]
    assert secret.startswith("pk1.")
    assert "From now on clients are asked who they are" in printed
    found = show(tmp_path / "log", "p-7")
    assert (found["status"], found["profile"], found["tags"]) == (
        "active",
        "pump",
        {"site": "north"},
    )
    assert secret not in run(tmp_path / "log", "show", "p-7")
    assert "From now on" not in run(tmp_path / "log", "add", "p-8")


def test_a_device_is_added_once(tmp_path):
    run(tmp_path, "add", "p-7")
    with pytest.raises(PenstockError, match="there is a device 'p-7' already"):
        run(tmp_path, "add", "p-7")
    with pytest.raises(DeviceInvalid, match="can't be a device id"):
        run(tmp_path, "add", "a/b")


def test_a_device_that_nobody_knows_is_told_with_what_is_near(tmp_path):
    run(tmp_path, "add", "pump-7")
    with pytest.raises(PenstockError, match="no device 'pump-8', did you mean 'pump-7'"):
        run(tmp_path, "disable", "pump-8")


def test_devices_are_listed_by_what_they_are(tmp_path):
    run(tmp_path, "add", "p-1", "--tag", "site=n", "--profile", "pump")
    run(tmp_path, "add", "p-2", "--tag", "site=s", "--certificate")
    run(tmp_path, "add", "q-1", "--role", "reader")
    run(tmp_path, "disable", "p-2")
    assert ids(tmp_path) == ["p-1", "p-2", "q-1"]
    assert ids(tmp_path, "p-*") == ["p-1", "p-2"]
    assert ids(tmp_path, "--status", "disabled") == ["p-2"]
    assert ids(tmp_path, "--tag", "site=n", "--profile", "pump") == ["p-1"]
    assert "p-2  disabled  device" in run(tmp_path, "list")
    run(tmp_path, "enable", "p-2")
    assert ids(tmp_path, "--status", "disabled") == []


def test_keys_are_rotated_two_at_a_time_and_revoked_by_name(tmp_path):
    first = json.loads(run(tmp_path, "add", "p", "--json"))["key"]
    second = json.loads(run(tmp_path, "rotate", "p", "--json"))["key"]
    names = [key["name"] for key in show(tmp_path, "p")["keys"]]
    run(tmp_path, "revoke", "p", names[0])
    assert [key["name"] for key in show(tmp_path, "p")["keys"]] == names[1:]
    assert first != second
    with pytest.raises(PenstockError, match="has no key"):
        run(tmp_path, "revoke", "p", names[0])
    assert f"revoke p {names[1]}" in run(tmp_path, "rotate", "p")


def test_a_device_changes_and_goes(tmp_path):
    run(tmp_path, "add", "p", "--tag", "a=1", "--tag", "b=2")
    run(
        tmp_path, "change", "p", "--profile", "x", "--role", "reader", "--tag", "a=", "--tag", "c=3"
    )
    found = show(tmp_path, "p")
    assert (found["profile"], found["role"], found["tags"]) == ("x", "reader", {"b": "2", "c": "3"})
    assert found["generation"] == 2
    run(tmp_path, "remove", "p")
    assert ids(tmp_path) == []


def test_a_person_has_a_password(tmp_path):
    printed = run(
        tmp_path, "add", "anna", "--role", "operator", "--password", text="horse\nhorse\n"
    )
    assert "key" not in printed.partition("registered")[2].partition("From now")[0]
    assert show(tmp_path, "anna")["password"] is True


def test_a_bad_option_is_bad_usage(tmp_path):
    run(tmp_path, "add", "p")
    for arguments in (["list", "--status", "x"], ["list", "--tag", "x"]):
        result = CliRunner().invoke(app, [*arguments, "--data", str(tmp_path)])
        assert result.exit_code == 2


async def test_beside_a_running_gateway_the_change_is_made_there(tmp_path):
    store = await open_store(StoreOptions(tmp_path), CLOCK)
    host = DeskHost(store, CLOCK, GroupDesk(store, CLOCK), tmp_path)
    heard = []
    host.tables.watch(DEVICES_TABLE, heard.extend)
    await host.start()
    try:
        printed = await asyncio.to_thread(run, tmp_path, "add", "p", "--json")
    finally:
        await host.stop()
        await store.close()
    (change,) = heard
    device = decode_device(change.value)
    assert matching_key(device.keys, json.loads(printed)["key"].encode()) is not None


def test_a_quota_and_a_group_are_part_of_an_entry(tmp_path):
    run(tmp_path, "add", "t-1", "--group", "fleet", "--quota", "messages=5")
    found = show(tmp_path, "t-1")
    assert (found["group"], found["quota"], found["keys"]) == ("fleet", {"messages": 5}, [])
    assert found["usage"] is None
    run(tmp_path, "change", "t-1", "--quota", "messages=", "--quota", "connections=2")
    assert show(tmp_path, "t-1")["quota"] == {"connections": 2}
    assert ids(tmp_path, "--group", "fleet") == ["t-1"]
    assert ids(tmp_path, "--group", "other") == []
    run(tmp_path, "change", "t-1", "--group", "")
    assert show(tmp_path, "t-1")["group"] == ""
