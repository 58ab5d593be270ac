from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from gateway.cli.devices import app
from gateway.devices import DocumentRefused
from gateway.errors import PenstockError, StoreError
from tests.harness.service_desk import beside_a_gateway, run


async def test_a_twin_is_changed_shown_and_remembered(tmp_path):
    data_dir = tmp_path / "log"
    patch_file = tmp_path / "patch.json"
    patch_file.write_text('{"mode": null, "limits": {"high": 9}}')
    first, second, people = await beside_a_gateway(
        data_dir,
        ["twin", "pump-7", "--set", '{"mode": "eco"}', "--if-version", "0", "--json"],
        ["twin", "pump-7", "--file", patch_file, "--json"],
        ["twin", "pump-7"],
    )
    assert json.loads(first) == {
        "device": "pump-7",
        "desired": {"mode": "eco"},
        "desired_version": 1,
        "reported": {},
        "reported_version": 0,
        "etag": "1.0",
        "is_told": False,
    }
    assert json.loads(second)["desired"] == {"limits": {"high": 9}}
    assert people.splitlines() == [
        "desired, version 2:",
        "  limits.high = 9",
        "reported, version 0:",
        "the device has not been told yet: nobody listens for it",
    ]
    await asyncio.to_thread(check_history, data_dir)


def check_history(data_dir):
    lines = run(data_dir, "twin", "pump-7", "--history", "--json").splitlines()
    history = [json.loads(line) for line in lines]
    patches = [one["patch"] for one in history]
    assert patches == [{"mode": "eco"}, {"mode": None, "limits": {"high": 9}}]
    before, after = (
        json.loads(run(data_dir, "twin", "pump-7", "--json", "--at", f"@{one['offset']}"))
        for one in history
    )
    assert (before["desired"], before["etag"]) == ({"mode": "eco"}, "1.0")
    assert (after["desired"], after["tags"]) == ({"limits": {"high": 9}}, {})
    assert json.loads(run(data_dir, "twin", "pump-7", "--json", "--at", "-1h"))["desired"] == {}
    assert "desired 1  {" in run(data_dir, "twin", "pump-7", "--history").splitlines()[0]


async def test_a_conflict_is_said_in_one_line(tmp_path):
    with pytest.raises(StoreError, match="has version 0, not 3"):
        await beside_a_gateway(
            tmp_path / "log", ["twin", "p", "--set", '{"a": 1}', "--if-version", "3"]
        )


def test_without_a_gateway_nothing_can_be_set(tmp_path):
    with pytest.raises(PenstockError, match="no gateway runs on"):
        run(tmp_path, "twin", "p", "--set", "{}")
    with pytest.raises(DocumentRefused, match="not JSON"):
        run(tmp_path, "twin", "p", "--set", "{")


def test_what_cannot_be_both_is_bad_usage(tmp_path):
    result = CliRunner().invoke(app, ["twin", "p", "--set", "{}", "--history"])
    assert result.exit_code == 2
