from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli.devices.comparing import compare

PROFILE = """version: 1
profile: pump
topics: ["plant/{device}/t"]
payload: {format: json}
fields: {t: {type: number, required: %s}}
"""

app = typer.Typer()
app.command()(compare)


@pytest.fixture
def folders(tmp_path):
    for name, needed in [("old", "false"), ("new", "true")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "pump.yaml").write_text(PROFILE % needed)
    return str(tmp_path / "old"), str(tmp_path / "new")


def run(new, old, *options):
    return CliRunner().invoke(app, [new, "--against", old, *options])


def test_a_break_is_said_with_its_file_and_its_direction(folders):
    old, new = folders
    found = run(new, old)
    assert found.exit_code == 1
    assert found.stdout.splitlines() == [
        f"{new}/pump.yaml: pump: field 't' is required now: payloads of before may lack it "
        "(backward; error)",
        "1 breaks",
    ]
    (line,) = run(new, old, "--json").stdout.splitlines()
    assert json.loads(line)["is_error"] is True


def test_only_what_must_hold_fails(folders):
    old, new = folders
    found = run(new, old, "--mode", "forward")
    assert found.exit_code == 0
    assert found.stdout.splitlines()[0].endswith("(backward; note)")
    assert found.stdout.splitlines()[1] == "compatible (forward)"
    assert run(old, new).exit_code == 0
    assert run(old, new, "--mode", "full").exit_code == 1


def test_a_mode_that_there_is_not_is_bad_usage(folders):
    assert run(*folders, "--mode", "sideways").exit_code == 2
