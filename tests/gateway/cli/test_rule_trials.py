import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.rules import app

SHIPPED = Path(__file__).parents[3] / "rules"
RULES = "version: 1\nrules: [{id: hot, from: plant/+, when: payload.x > 5, enabled: false}]\n"
CASES = """\
rules: [r.yaml]
enable: [hot]
cases:
  - name: a reading above five raises
    input: [{topic: plant/m1, payload.x: 9}]
    expect: [{rule: hot, key: m1, event: raised}]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "r.yaml").write_text(RULES)
    (tmp_path / "r.test.yaml").write_text(CASES)
    return tmp_path


def penstock(*arguments):
    result = CliRunner().invoke(app, ["test", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_cases_that_pass_are_counted(folder):
    result = penstock(folder)
    assert result.exit_code == 0
    first, last = result.stdout.splitlines()
    assert first == f"ok    {folder}/r.test.yaml:4  a reading above five raises"
    assert last.startswith("1 case: 1 passed, 0 failed (")


def test_a_case_that_fails_is_told_with_its_place(folder):
    (folder / "r.test.yaml").write_text(CASES.replace("9", "4"))
    result = penstock(folder / "r.test.yaml")
    assert result.exit_code == 1
    assert f"{folder}/r.test.yaml:6:14: expected raised hot m1; nothing" in result.stdout
    assert "what happened:\n        nothing" in result.stdout


def test_programs_get_an_object_for_each_case(folder):
    (told,) = map(json.loads, penstock(folder, "--json").stdout.splitlines())
    assert (told["case"], told["passed"], told["events"]) == (
        "a reading above five raises",
        True,
        1,
    )
    assert told["happened"][0]["event"] == "raised"


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("r.test.yaml", "rules: [r.yaml]\ncases: [{nam: x}]\n", "r.test.yaml:2:9: missing key"),
        ("r.yaml", "version: 1\nrules: [{id: hot}]\n", "r.yaml:2:"),
        ("r.test.yaml", CASES.replace("hot, key", "cold, key"), "no rule 'cold' in r.yaml"),
        ("r.test.yaml", CASES.replace("[hot]", "[hott]"), "'enable': no rule 'hott'"),
        ("r.test.yaml", CASES.replace("r.yaml", "s.yaml"), "s.yaml:1:1: can't be read"),
    ],
)
def test_wrong_files_are_told_and_nothing_is_played(folder, file, text, place):
    (folder / file).write_text(text)
    result = penstock(folder)
    assert result.exit_code == 2
    assert place in result.stderr
    assert result.stdout == ""


def test_a_folder_without_tests_is_a_mistake(tmp_path):
    result = penstock(tmp_path)
    assert (result.exit_code, "no *.test.yaml" in result.stderr) == (2, True)


def test_the_schema_of_test_files_can_be_printed():
    result = CliRunner().invoke(app, ["schema", "--tests"])
    assert json.loads(result.stdout)["title"] == "Penstock rule tests"


def test_everything_that_ships_passes_its_tests():
    result = penstock(SHIPPED)
    assert result.exit_code == 0, result.stdout


def test_every_shipped_rule_file_has_its_tests_beside_it():
    rules = [path for path in SHIPPED.rglob("*.yaml") if not path.name.endswith(".test.yaml")]
    assert [path for path in rules if not path.with_suffix(".test.yaml").exists()] == []
