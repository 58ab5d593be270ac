from __future__ import annotations

import subprocess
import sys

import orjson
import pytest
from typer.testing import CliRunner

from firmware_sim.load.cli import app
from tests.harness.gateway_process import penstock

QUICK = {
    "ingest": ["--connections", "3", "--seconds", "0.2"],
    "fanout": ["--subscribers", "5", "--seconds", "0.2"],
    "connect": ["--at-once", "3", "--seconds", "0.2"],
    "storm": ["--clients", "20", "--steady", "2"],
}
RATES = {
    "ingest": "messages_per_s",
    "fanout": "deliveries_per_s",
    "connect": "connects_per_s",
    "storm": "all_back_s",
}


def run(command, *arguments):
    return CliRunner().invoke(app, [command, *arguments])


@pytest.mark.parametrize("command", sorted(QUICK))
def test_a_measurement_ends_with_a_summary_for_machines(gateway, command):
    ended = run(command, *QUICK[command], "--port", str(gateway.port), "--json")
    assert ended.exit_code == 0, ended.output
    summary = orjson.loads(ended.stdout.splitlines()[-1])
    assert (summary["type"], summary["ok"]) == ("summary", True)
    assert summary[RATES[command]] > 0


def test_a_measurement_is_shown_to_people(gateway):
    ended = run("ingest", *QUICK["ingest"], "--properties", "--port", str(gateway.port))
    assert ended.exit_code == 0
    assert f"ingest at 127.0.0.1:{gateway.port}" in ended.stdout
    assert "messages/s" in ended.stdout


@pytest.mark.parametrize("command", sorted(QUICK))
def test_nobody_listening_is_one_clear_line(nobody, command):
    ended = subprocess.run(
        penstock("bench", command, "--port", str(nobody)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines() == [
        f"penstock: no MQTT server at 127.0.0.1:{nobody}: Connection refused; "
        "start one with 'penstock serve', or say --host and --port"
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", "--payload", "60"],
        ["ingest", "--window", "0"],
        ["fanout", "--qos", "2"],
        ["storm", "--clients", "0"],
        ["connect", "--port", "0"],
    ],
)
def test_impossible_loads_are_wrong_usage(arguments):
    assert run(*arguments).exit_code == 2


def test_it_needs_nothing_of_the_gateway_but_the_wire():
    code = (
        "import sys, firmware_sim.load.cli;"
        "print([one for one in sys.modules if one.startswith(('gateway.server', 'gateway.store'))])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
