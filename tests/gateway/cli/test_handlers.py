import json

import pytest
from typer.testing import CliRunner

from gateway.cli.handlers import HandlerUnknown, TrialFailed, app
from tests.harness.gateway_process import run_penstock

CONFIG = """\
version: 1
data: ../data
handlers:
  folder: ../functions
  functions:
    - name: levels
      call: own_cli_levels:to_metres
      filter: plant/+/level
"""
LEVELS = """\
def to_metres(event):
    return f"metres/{event.device}", {"m": event.payload["cm"] / 100}
"""
EVENT = '{"topic": "plant/t1/level", "payload": {"cm": 250}}'


@pytest.fixture
def config(tmp_path):
    for name in ("config", "functions"):
        (tmp_path / name).mkdir()
    (tmp_path / "functions/own_cli_levels.py").write_text(LEVELS)
    path = tmp_path / "config/gateway.yaml"
    path.write_text(CONFIG)
    return path


def penstock(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_handlers_are_listed_without_a_gateway(config):
    code, text, _ = penstock("list", "--config", config)
    assert code == 0
    assert "levels" in text
    assert "stopped" in text
    _, text, _ = penstock("list", "--config", config, "--json")
    assert json.loads(text)["call"] == "own_cli_levels:to_metres"


def test_a_function_is_tried_on_an_event_that_is_written(config):
    code, text, _ = penstock("test", "levels", EVENT, "--config", config, "--json")
    assert code == 0
    assert json.loads(text) == {
        "topic": "metres/t1",
        "payload": {"m": 2.5},
        "retain": False,
        "qos": 1,
    }
    _, text, _ = penstock("test", "levels", EVENT, "--config", config)
    assert text == 'metres/t1  {"m":2.5}\n'


def test_an_event_that_the_handler_is_not_for_is_said(config):
    event = EVENT.replace("level", "other")
    _, _, said = penstock("test", "levels", event, "--config", config)
    assert "would not be given" in said


def test_a_failure_is_the_traceback(config):
    with pytest.raises(TrialFailed, match="KeyError: 'cm'"):
        penstock("test", "levels", '{"topic": "plant/t1/level", "payload": {}}', "--config", config)


@pytest.mark.parametrize("event", ["{", "[]", '{"payload": 1}', '{"topic": "a", "x": 1}', "@x"])
def test_what_is_no_event_is_bad_usage(config, event):
    code, _, said = penstock("test", "levels", event, "--config", config)
    assert code == 2
    assert said.startswith("penstock: ")


def test_an_unknown_handler_is_said_with_the_nearest(config):
    with pytest.raises(HandlerUnknown, match="'levels'"):
        penstock("test", "level", EVENT, "--config", config)


def test_a_check_loads_every_function(config):
    code, text, _ = penstock("check", "--config", config)
    assert code == 0
    assert text.startswith("levels: own_cli_levels:to_metres ")
    (config.parent.parent / "functions/own_cli_levels.py").write_text("1 / 0\n")
    with pytest.raises(TrialFailed, match="can't load own_cli_levels:to_metres"):
        penstock("check", "--config", config)


def test_a_wrong_configuration_is_bad_usage(config):
    config.write_text("version: 1\nhandlers: {functions: [{name: a}]}\n")
    result = run_penstock("handlers", "list", "--config", config)
    assert result.returncode == 2
    assert "missing key 'call'" in result.stderr
