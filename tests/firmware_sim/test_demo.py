from __future__ import annotations

import io
from contextlib import redirect_stdout, suppress

import orjson
import pytest
from typer.testing import CliRunner

from firmware_sim.alerts import AlertBoard
from firmware_sim.demo import Demo, app, next_steps
from firmware_sim.failures import SimulationFailed
from firmware_sim.fleet import RunOptions
from firmware_sim.loader import load_scenario
from firmware_sim.report import JsonReport


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.slow
def test_a_demo_ends_with_an_account_of_every_event(tmp_path):
    result = run("--devices", "12", "--duration", "2", "--keep", str(tmp_path / "kept"), "--json")
    assert result.exit_code == 0, result.output
    lines = [orjson.loads(line) for line in result.output.splitlines()]
    summary = lines[-1]
    assert (summary["type"], summary["ok"], summary["gateway_exit_status"]) == ("summary", True, 0)
    account = summary["account"]
    assert account["acknowledged"] == account["taken"] > 100
    assert account["missing"] == account["strangers"] == account["disordered"] == 0
    assert {line["type"] for line in lines} == {"event", "progress", "summary"}
    assert any((tmp_path / "kept").iterdir())


@pytest.mark.slow
def test_a_demo_without_keep_leaves_nothing_and_says_what_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = run("--devices", "3", "--duration", "1")
    assert result.exit_code == 0, result.output
    assert "penstock demo: every acknowledged event is in the log" in result.output
    assert "penstock demo --keep DIR" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
async def test_a_gateway_that_dies_is_told_and_is_no_success(tmp_path):
    options = RunOptions(devices=3, duration_ms=60_000, drain_ms=100, keeps_readings=True)
    with redirect_stdout(io.StringIO()) as shown, JsonReport() as report:
        plot = Demo(load_scenario("demo"), options, tmp_path, report)
        watch = plot._watch

        def watch_and_kill(progress):
            with suppress(ProcessLookupError):
                plot._gateway._child.kill()
            watch(progress)

        plot._watch = watch_and_kill
        assert not await plot.run()
    lines = [orjson.loads(line) for line in shown.getvalue().splitlines()]
    assert {"type": "event", "event": "gateway ended"} in lines
    assert (lines[-1]["gateway_exit_status"], lines[-1]["ok"]) == (-9, False)
    assert lines[-1]["account"]["missing"] == 0


def test_a_place_that_can_not_be_kept_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    result = run("--keep", str(tmp_path / "file"))
    assert isinstance(result.exception, SimulationFailed)
    assert "can't keep data in" in str(result.exception)


@pytest.mark.parametrize(
    "arguments", [("--devices", "0"), ("--rate", "0"), ("--duration", "0"), ("--seed", "x")]
)
def test_impossible_flags_are_wrong_usage(arguments):
    assert run(*arguments).exit_code == 2


def test_a_rule_that_steps_often_is_told_a_few_times(tmp_path):
    options = RunOptions(devices=1, duration_ms=1_000)
    with redirect_stdout(io.StringIO()) as shown:
        plot = Demo(load_scenario("demo"), options, tmp_path, JsonReport())
        for number in range(10):
            payload = {"rule": "hot", "key": f"pump-{number}", "event": "raised"}
            plot._hear({"payload": payload})
    events = [orjson.loads(line)["event"] for line in shown.getvalue().splitlines()]
    assert events == ["alert"] * 3 + ["alerts thinned"]
    assert plot._alerts.raised == 10


def test_kept_data_comes_with_the_commands_to_look_into_it(tmp_path):
    steps = "\n".join(next_steps(tmp_path))
    for command in ("streams list", "streams read alerts", "streams read telemetry", "serve"):
        assert f"penstock {command} --data {tmp_path}" in steps


def test_the_summary_of_a_demo_without_alerts_says_so():
    assert AlertBoard().as_values() == {}
