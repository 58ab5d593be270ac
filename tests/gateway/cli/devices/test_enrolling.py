from __future__ import annotations

import asyncio
import json
from datetime import datetime

import pytest
import trustme
from typer.testing import CliRunner

from gateway.cli.devices import app
from gateway.cli.devices.enrolling import moment_of, read_authority
from gateway.cli.devices.enrolment_access import read_groups
from gateway.cli.devices.registry_access import NoSuchDevice, RegistryDesk, change_of, stamped
from gateway.devices import Device, DeviceInvalid, group_key


def run(data_dir, *arguments, exit_code=0):
    words = ["enrol", *map(str, arguments), "--data", str(data_dir)]
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.stdout


def shown(data_dir, group):
    return json.loads(run(data_dir, "show", group, "--json"))


def make_known(data_dir, *devices):
    async def change():
        desk = RegistryDesk(data_dir)
        registry = await desk.read()
        await desk.change([change_of(registry, stamped(device, None)) for device in devices])

    asyncio.run(change())


def test_a_group_is_made_and_its_key_is_shown_once(tmp_path):
    options = ("--tag", "site=n", "--devices", "5", "--per-minute", "9", "--approve", "manual")
    printed = run(tmp_path, "create", "line", "--pattern", "p-*", "--profile", "pump", *options)
    secret = printed.partition("key ")[2].split()[0]
    assert "user name enrol/line" in printed
    assert "From now on clients are asked who they are" in printed
    group = asyncio.run(read_groups(tmp_path))["line"]
    assert group.keys[0].sha256 == group_key(secret, "claim", 0).sha256
    found = shown(tmp_path, "line")
    assert (found["pattern"], found["approve"], found["tags"]) == ("p-*", "manual", {"site": "n"})
    assert (found["devices"], found["devices_max"], found["per_minute"]) == (0, 5, 9)
    assert secret not in run(tmp_path, "show", "line")
    assert "0 of 5 devices" in run(tmp_path, "list")
    assert json.loads(run(tmp_path, "list", "--json"))["group"] == "line"


def test_a_group_may_sign_tokens_and_its_keys_rotate(tmp_path):
    run(tmp_path, "create", "fleet", "--pattern", "*", "--kind", "token", "--json")
    first = shown(tmp_path, "fleet")["keys"][0]["name"]
    printed = run(tmp_path, "rotate", "fleet")
    assert f"enrol revoke fleet {first}" in printed
    assert "user name" not in printed
    run(tmp_path, "revoke", "fleet", first)
    assert first not in [one["name"] for one in shown(tmp_path, "fleet")["keys"]]
    run(tmp_path, "revoke", "fleet")
    assert shown(tmp_path, "fleet")["status"] == "revoked"
    with pytest.raises(NoSuchDevice, match="has no key 'x'"):
        run(tmp_path, "revoke", "fleet", "x")


def test_a_group_may_go_by_an_authority(tmp_path):
    pems = []
    for name in ("one", "two"):
        pems.append(tmp_path / f"{name}.pem")
        pems[-1].write_bytes(trustme.CA(organization_name=name).cert_pem.bytes())
    data_dir = tmp_path / "log"
    printed = run(data_dir, "create", "ca", "--pattern", "*", "--ca", pems[0])
    assert "authority" in printed
    with pytest.raises(DeviceInvalid, match="--ca is for authorities"):
        run(data_dir, "rotate", "ca")
    run(data_dir, "rotate", "ca", "--ca", pems[1])
    signs = [read_authority(pem) for pem in pems]
    assert shown(data_dir, "ca")["authorities"] == [one.hex() for one in signs]
    run(data_dir, "revoke", "ca", signs[0][:4].hex())
    assert shown(data_dir, "ca")["authorities"] == [signs[1].hex()]


def test_what_a_group_may_do_changes(tmp_path):
    run(tmp_path, "create", "line", "--pattern", "p-*")
    printed = run(tmp_path, "change", "line", "--pattern", "q-*", "--expires", "2030-01-31")
    assert "q-*" in printed
    assert "until 2030-01" in printed
    assert "until never" in run(tmp_path, "change", "line", "--expires", "never")


def test_devices_that_wait_are_listed_approved_and_denied(tmp_path):
    names = ("p-1", "p-2", "p-3", "q-1")
    waiting = [Device(name, status="pending", group="line") for name in names]
    make_known(tmp_path, *waiting, Device("p-4"))
    lines = run(tmp_path, "pending", "p-*", "--json").splitlines()
    assert [json.loads(line)["device"] for line in lines] == ["p-1", "p-2", "p-3"]
    assert run(tmp_path, "pending", "--group", "other") == ""
    assert run(tmp_path, "approve", "p-1", "p-2") == "p-1: approved\np-2: approved\n"
    assert run(tmp_path, "deny", "p-*") == "p-3: denied\n"
    assert run(tmp_path, "pending").split()[0] == "q-1"
    with pytest.raises(NoSuchDevice, match="no device 'p-1' waits"):
        run(tmp_path, "approve", "p-1")


@pytest.mark.parametrize(
    "options",
    [
        ("--kind", "authority"),
        ("--kind", "claim", "--ca", "x"),
        ("--approve", "perhaps"),
        ("--expires", "soon"),
    ],
)
def test_what_is_wrong_is_bad_usage(tmp_path, options):
    run(tmp_path, "create", "line", "--pattern", "p-*", *options, exit_code=2)


def test_without_a_log_there_is_no_group(tmp_path):
    with pytest.raises(NoSuchDevice, match="there is no enrolment group 'line'"):
        run(tmp_path, "revoke", "line")


def test_a_certificate_is_read_from_a_file_with_one(tmp_path):
    pem = trustme.CA().cert_pem.bytes()
    for content in (b"", pem + pem, b"-----BEGIN CERTIFICATE-----\nx\n"):
        (tmp_path / "ca.pem").write_bytes(content)
        with pytest.raises(DeviceInvalid):
            read_authority(tmp_path / "ca.pem")
    with pytest.raises(DeviceInvalid, match="can't read"):
        read_authority(tmp_path / "none.pem")


def test_a_moment_is_written_as_people_do():
    assert moment_of("never", 5) == 0
    assert moment_of("1h", 5) == 3_600_005
    day_ms = datetime(2030, 1, 31).astimezone().timestamp() * 1_000
    assert moment_of("2030-01-31", 5) == day_ms
