"""The example of docs/handlers.md does what it says, and is the one that ships."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import orjson
import pytest

from gateway.config import load_config
from gateway.functions import Event
from tests.harness.gateway_process import run_penstock

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "handlers.md").read_text()
EVENT = '{"topic": "plant/tank-1/level", "payload": {"cm": 250}}'


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", GUIDE, re.S)[1]


@pytest.fixture
def config(tmp_path):
    for name in ("config", "handlers"):
        (tmp_path / name).mkdir()
    (tmp_path / "handlers/levels.py").write_text(block("python"))
    path = tmp_path / "config/gateway.yaml"
    path.write_text(block("yaml"))
    return path


def test_the_example_runs(config):
    result = run_penstock("handlers", "test", "levels", EVENT, "--config", config, "--json")
    assert result.returncode == 0, result.stderr
    assert orjson.loads(result.stdout)["payload"] == {"m": 2.5}


def test_the_shipped_handler_is_the_example_and_runs(config):
    (config.parent.parent / "handlers/levels.py").write_text(
        (ROOT / "handlers/levels.py").read_text()
    )
    result = run_penstock("handlers", "test", "levels", EVENT, "--config", config, "--json")
    assert orjson.loads(result.stdout)["topic"] == "metres/tank-1"


def test_every_field_of_an_event_and_every_setting_is_explained(config):
    assert [one.name for one in fields(Event) if f"`{one.name}`" not in GUIDE] == []
    config.write_text(
        "version: 1\nhandlers: {functions: [{name: a, call: m:f, filter: a, x: 1}]}\n"
    )
    result = run_penstock("handlers", "list", "--config", config)
    known = result.stderr.partition("known here: ")[2].strip().split(", ")
    assert len(known) > 10
    assert [name for name in known if f"`{name}`" not in GUIDE] == []


def test_the_commented_example_of_the_configuration_loads(tmp_path):
    text = (ROOT / "config/gateway.yaml").read_text()
    commented = re.search(r"  functions: \[\]\n((?:  #   .*\n)+)", text)[1]
    lines = "".join(f"{line[:2]}{line[4:]}\n" for line in commented.splitlines())
    path = tmp_path / "gateway.yaml"
    path.write_text(f"handlers:\n  functions:\n{lines}")
    (spec,) = load_config(path).handlers
    assert spec.call == "levels:to_metres"


def test_the_shipped_handler_says_what_it_is():
    tree = ast.parse((ROOT / "handlers/levels.py").read_text())
    assert ast.get_docstring(tree)
