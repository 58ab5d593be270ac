from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from gateway.cli.devices import app
from gateway.devices import CommandRefused
from tests.harness.service_desk import beside_a_gateway, run, services_on


async def test_a_command_waits_for_the_answer_of_the_device(tmp_path):
    async with services_on(tmp_path) as bench:
        bench.heard.add(("command", "pump-7"))
        arguments = ["command", "pump-7", "reboot", "--payload", '{"in": 5}', "--json"]
        telling = asyncio.create_task(asyncio.to_thread(run, tmp_path, *arguments))
        ((topic, request),) = await bench.until_said("commands", 1, "request")
        assert (request["name"], request["payload"]) == ("reboot", {"in": 5})
        await bench.publish(topic.replace("request", "response"), {"status": 200, "result": "ok"})
        told = json.loads(await telling)
    assert (told["state"], told["status"], told["result"]) == ("answered", 200, "ok")
    listed = await asyncio.to_thread(run, tmp_path, "command", "pump-7")
    assert listed.split()[:3] == [told["id"], "reboot", "answered"]


async def test_the_exit_code_tells_that_nothing_came_of_it(tmp_path):
    async with services_on(tmp_path):
        arguments = ["command", "pump-7", "reboot", "--ttl", "0s", "--json"]
        told = await asyncio.to_thread(run, tmp_path, *arguments, exit_code=1)
    assert json.loads(told)["state"] == "expired"


async def test_what_waits_can_be_seen_and_called_back(tmp_path):
    given, listed, cancelled = await beside_a_gateway(
        tmp_path,
        ["command", "pump-7", "reboot", "--no-wait", "--id", "c1", "--json"],
        ["command", "pump-7", "--json"],
        ["command", "pump-7", "--cancel", "c1"],
    )
    assert json.loads(given) == json.loads(listed)
    assert json.loads(given)["state"] == "queued"
    assert cancelled.startswith("c1  reboot  cancelled  ")


@pytest.mark.parametrize("options", [["--payload", "{"], ["--timeout", "soon"], ["--ttl", "x"]])
def test_bad_options_are_bad_usage(options):
    assert CliRunner().invoke(app, ["command", "p", "reboot", *options]).exit_code == 2


def test_what_is_beyond_a_limit_is_refused_before_anybody_is_asked(tmp_path):
    with pytest.raises(CommandRefused, match="'timeout_ms' is 172800000"):
        run(tmp_path, "command", "p", "reboot", "--timeout", "48h")
