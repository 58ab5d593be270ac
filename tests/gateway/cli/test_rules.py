import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.rules import app
from gateway.documents import parse_document
from gateway.errors import DocumentInvalid
from gateway.rules import rule_paths
from tests.harness.json_schema import is_valid

SHIPPED = Path(__file__).parents[3] / "rules"
GOOD = """\
version: 1
rules:
  - id: hot
    title: Too hot
    from: plant/+/boiler
    window: {sliding: 5m}
    aggregate: {average: avg(payload.temperature)}
    when: average > 80
    clear: average < 90
    alarm: {severity: major, message: "{device}"}
    publish: {topic: "alarms/{device}"}
  - {id: quiet, from: [plant/#, other], when: payload.x, enabled: false}
"""


def penstock(*arguments):
    """Run the command in this process; returns exit code, stdout and stderr."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(
        "version: 1\nrules:\n  - {id: a, from: t, when: nobody}\n  - {id: a, fromm: t}\n"
    )
    return path


def test_check_sums_up_what_is_right(good):
    code, out, err = penstock("check", good)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "2 rules in 1 files are right; 1 enabled"
    assert lines[1] == "sources: other, plant/#, plant/+/boiler"
    assert "hot" in lines[2]
    assert "of state for a key at one event a second, " in lines[2]
    assert err == f"{good}:9:12: warning: " + (
        "'when' and 'clear' can both be true; the alarm would clear while its cause holds\n"
    )


def test_check_says_every_error_and_fails(bad):
    code, out, err = penstock("check", bad)
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[0].startswith(f"{bad}:3:28: in 'when': unknown name 'nobody'")
    assert f"{bad}:4:10: duplicate rule id 'a'" in lines
    assert f"{bad}:4:13: unknown key 'fromm', did you mean 'from'?" in lines


def test_check_speaks_json(good, bad):
    code, out, _ = penstock("check", good, "--json")
    assert code == 0
    summary = json.loads(out)
    assert (summary["rules"], summary["enabled"], summary["warnings"]) == (2, 1, 1)
    assert summary["state_bytes_max"] > 0
    code, out, err = penstock("check", bad, "--json")
    assert (code, out) == (1, "")
    assert json.loads(err.splitlines()[0])["line"] == 3


def test_check_of_a_missing_file_is_one_clear_line(tmp_path):
    code, out, err = penstock("check", tmp_path / "none.yaml")
    assert (code, out) == (1, "")
    assert err == f"{tmp_path / 'none.yaml'}:1:1: can't be read: No such file or directory\n"


def test_check_without_a_path_is_bad_usage():
    assert penstock("check")[0] == 2


def test_list_has_a_line_for_each_rule(good):
    code, out, _ = penstock("list", good)
    assert code == 0
    assert out.splitlines() == [
        f"hot  major  plant/+/boiler  average > 80  {good}:3",
        f"quiet (disabled)  warning  plant/#, other  payload.x  {good}:12",
    ]


def test_list_speaks_json(good):
    code, out, _ = penstock("list", good, "--json")
    assert code == 0
    hot, quiet = map(json.loads, out.splitlines())
    assert (hot["rule"], hot["title"], hot["severity"], hot["window"]) == (
        "hot",
        "Too hot",
        "major",
        "sliding",
    )
    assert (hot["sources"], hot["key"], hot["publishes"]) == (
        ["plant/+/boiler"],
        ["device"],
        ["alarms/{device}"],
    )
    assert (quiet["enabled"], quiet["detector"]) == (False, "when")


def test_list_of_wrong_rules_fails(bad):
    with pytest.raises(DocumentInvalid, match="unknown name 'nobody'"):
        penstock("list", bad)


def test_the_printed_schema_fits_the_shipped_rules():
    code, out, _ = penstock("schema")
    assert code == 0
    schema = json.loads(out)
    for path in rule_paths([SHIPPED]):
        assert is_valid(schema, parse_document(path.read_text(), str(path)).node.plain()), path


def test_shipped_rules_are_right():
    code, _, err = penstock("check", SHIPPED)
    assert (code, err) == (0, "")
