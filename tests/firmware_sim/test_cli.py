from __future__ import annotations

import asyncio
import subprocess
import sys

import orjson
import pytest
import typer
from typer.testing import CliRunner

from firmware_sim.cli import app, complete_scenario
from firmware_sim.failures import ServerAbsent, SimulationFailed
from firmware_sim.loader import shipped_scenarios
from firmware_sim.sink import Sink
from gateway.mqtt import ReasonCode
from tests.firmware_sim.sink_server import SinkServer
from tests.harness.gateway_process import free_port


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


async def run_beside(server, *arguments):
    """Run a command in a process of its own, while the loop of the test serves it."""
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "firmware_sim", *map(str, arguments), "--port", str(server.port),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    output, errors = await command.communicate()
    return command.returncode, output.decode(), errors.decode()


async def test_a_run_is_verified_by_a_witness_and_summed_up(tmp_path):
    async with SinkServer() as server:
        status, output, errors = await run_beside(
            server, "run", "demo", "--devices", 6, "--duration", 2, "--verify", "--json",
            "--summary", tmp_path / "summary.json",
        )  # fmt: skip
    assert (status, errors) == (0, "")
    lines = [orjson.loads(line) for line in output.splitlines()]
    assert {line["type"] for line in lines} == {"progress", "summary"}
    summary = lines[-1]
    assert summary["ok"]
    written = orjson.loads((tmp_path / "summary.json").read_bytes())
    assert {"type": "summary", **written} == summary
    assert (
        summary["account"]["stored_once"] + summary["account"]["stored_again"] == summary["taken"]
    )


async def test_a_run_against_a_refusing_server_is_one_clear_line():
    sink = Sink(accept=lambda _: ReasonCode.NOT_AUTHORIZED)
    async with SinkServer(sink) as server:
        status, output, errors = await run_beside(server, "run", "demo")
    assert (status, output) == (1, "")
    assert errors.splitlines() == [
        f"penstock: the MQTT server at 127.0.0.1:{server.port} refuses client 'greenhouse-1': "
        "NOT_AUTHORIZED; say --username and --password that it accepts"
    ]


async def test_a_replay_shows_its_result(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("timestamp,value\n2013-12-02 21:15:00,5\n2013-12-02 21:20:00,6\n")
    async with SinkServer() as server:
        status, output, _ = await run_beside(server, "replay", path, "--topic", "a/b")
    assert status == 0
    assert "r.csv to a/b: every row is acknowledged" in output
    assert [taken.topic for taken in server.sink.taken] == ["a/b", "a/b"]


async def test_a_replay_may_be_moved_repeated_and_cut_down_to_some_columns(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("timestamp,a,b\n1000000,5,x\n1000010,6,y\n")
    async with SinkServer() as server:
        status, output, _ = await run_beside(
            server, "replay", path, "--topic", "t", "--loop", 2, "--shift", "-10s", "--field", "a=v"
        )
    assert status == 0
    assert "4 of 4" in output
    assert [orjson.loads(taken.payload) for taken in server.sink.taken] == [
        {"v": value, "ts": 999_990_000 + 10_000 * step} for step, value in enumerate((5, 6, 5, 6))
    ]


def test_an_absent_server_is_an_error():
    result = run("run", "demo", "--port", 1)
    assert isinstance(result.exception, ServerAbsent)


def test_scenarios_are_listed_and_described():
    listed = run("list", "--json").output.splitlines()
    assert [orjson.loads(line)["scenario"] for line in listed] == shipped_scenarios()
    assert "A pump station" in run("list").output
    assert "topic greenhouse/greenhouse-1/climate" in run("describe", "demo").output


def test_every_error_of_a_scenario_file_is_a_line_and_wrong_usage(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("version: 1\nscenario: x\nkinds: []\ncolor: red\n")
    result = run("describe", path)
    assert result.exit_code == 2
    assert [line.split(" ")[1] for line in result.stderr.splitlines()] == [
        f"{path}:3:8:",
        f"{path}:4:1:",
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("run", "demoo"), "did you mean 'demo'?"),
        (("run", "demo", "--duration", "soon"), "'soon' is not a duration"),
        (("run", "demo", "--duration", "-1"), "not a duration above zero"),
        (("run", "demo", "--devices", "0"), "greater than or equal to 1"),
        (("run", "demo", "--protocol", "4"), "'4' is not one of 3.1.1, 5"),
        (("run", "demo", "--data", "/"), "it says where the log is for --verify"),
        (("replay", "x.csv", "--topic", "t", "--speed", "fast"), "'fast' is neither"),
        (("replay", "x.csv", "--topic", "t", "--speed", "x-1"), "'x-1' is neither"),
        (("replay", "x.csv", "--topic", "t", "--qos", "2"), "less than or equal to 1"),
        (("replay", "x.csv"), "Missing option '--topic'"),
        (("replay", "x.csv", "--topic", "t", "--shift", "soon"), "'soon' is neither 'now' nor"),
        (("replay", "x.csv", "--topic", "t", "--field", "a", "--field", "b=a"), "two columns for"),
        (("replay", "x.csv", "--topic", "t", "--loop", "-1"), "greater than or equal to 0"),
    ],
)
def test_wrong_usage_exits_2_and_says_why(arguments, complaint):
    result = run(*arguments)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--data", "/nowhere"), "no data directory at /nowhere"),
        (("--devices", "5000", "--duration", "7d"), "keeps account of 50,000,000 at most"),
    ],
)
def test_a_verification_that_can_not_work_is_refused_before_it_starts(arguments, complaint):
    result = run("run", "demo", "--verify", *arguments)
    assert isinstance(result.exception, SimulationFailed)
    assert complaint in str(result.exception)


def test_a_missing_recording_is_an_error():
    result = run("replay", "/nowhere.csv", "--topic", "t")
    assert "/nowhere.csv: can't be read" in str(result.exception)


async def test_a_gateway_that_is_killed_loses_nothing_and_the_summary_counts_the_kills(tmp_path):
    port = free_port()
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "firmware_sim", "run", "chaos", "--devices", "20",
        "--duration", "5", "--verify", "--data", str(tmp_path), "--port", str(port), "--json",
        "--kill-every", "2s",
        "--server", f"{sys.executable} -m gateway.cli serve --data {tmp_path} --port {port}",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    output, _ = await command.communicate()
    summary = orjson.loads(output.splitlines()[-1])
    assert command.returncode == 0
    assert 1 <= summary["kills"] <= 2
    account = summary["account"]
    assert account["missing"] == account["strangers"] == account["disordered"] == 0
    assert account["acknowledged"] == account["taken"] > 20


def test_killing_needs_a_server_of_our_own():
    result = run("run", "demo", "--kill-every", "2s")
    assert result.exit_code == 2
    assert "--server" in result.output


@pytest.mark.parametrize("how", [[], ["--protocol", "5", "--client", "paho"]])
def test_exactly_once_is_refused_where_it_can_not_be_said(tmp_path, how):
    path = tmp_path / "s.yaml"
    path.write_text(
        "version: 1\nscenario: x\nkinds:\n"
        "  - {kind: a, topic: 't/{device}', rate: 1, fields: {}, exactly_once: true}\n"
    )
    result = run("run", path, *how)
    assert result.exit_code == 2
    assert "exactly once, which needs --protocol 5" in " ".join(result.stderr.split())


async def test_each_device_comes_with_its_own_key(tmp_path):
    shown = {}

    def accept(connect):
        shown[connect.client_id] = (connect.username, connect.password)
        return ReasonCode.SUCCESS

    names = run("devices", "demo", "--devices", 3).stdout.splitlines()[1:]
    keys = tmp_path / "keys.csv"
    lines = [f"{name.partition(',')[0]},key-{number}" for number, name in enumerate(names)]
    keys.write_text("\n".join(["device,key", *lines]) + "\n")
    async with SinkServer(Sink(accept=accept)) as server:
        status, _, errors = await run_beside(
            server, "run", "demo", "--devices", 3, "--duration", 1, "--credentials", keys,
        )  # fmt: skip
    assert (status, errors) == (0, "")
    expected = {line.partition(",")[0]: line.partition(",")[2] for line in lines}
    assert shown == {name: (name, key.encode()) for name, key in expected.items()}


def test_a_fleet_needs_a_key_for_each_of_its_devices(tmp_path):
    (tmp_path / "keys").write_text("device,key\nx,y\n")
    result = run("run", "demo", "--credentials", tmp_path / "keys")
    assert isinstance(result.exception, SimulationFailed)
    assert "has no key for greenhouse-1" in str(result.exception)


def test_the_shell_completes_the_names_of_scenarios():
    assert complete_scenario("") == shipped_scenarios()
    assert complete_scenario("gree") == ["greenhouse"]
    for name in ("run", "describe"):
        command = typer.main.get_command(app).commands[name]
        found = command.params[0].shell_complete(
            command.make_context(name, ["demo", "--help"], resilient_parsing=True), "ch"
        )
        assert [item.value for item in found] == ["chaos"]
