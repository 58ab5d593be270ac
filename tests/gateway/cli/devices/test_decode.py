from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli.devices import decode as commands
from gateway.cli.devices.decode import NoProfile
from gateway.devices import Undecodable

PROFILE = """version: 1
profile: pump
topics: ["plant/{site}/{device}/t"]
payload: {format: frame, layout: [{name: t, type: i16}]}
fields: {t: {unit: °C, scale: 0.1, max: 100}}
"""

app = typer.Typer()
app.command("decode")(commands.decode)
app.command("check")(commands.check)


@pytest.fixture
def profiles(tmp_path):
    (tmp_path / "pump.yaml").write_text(PROFILE)
    return tmp_path


def run(*arguments, given=None):
    result = CliRunner().invoke(app, [*map(str, arguments)], input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def decode(profiles, *arguments, **rest):
    return run("decode", "plant/a/p7/t", "--profiles", profiles, *arguments, **rest)


@pytest.mark.parametrize("option", [("--hex", "00 ff"), ("--base64", "AP8="), ()])
def test_a_payload_is_shown_with_its_units(profiles, option):
    given = b"\x00\xff" if not option else None
    assert decode(profiles, *option, given=given).stdout == "profile: pump\nt: 25.5 °C\n"


def test_a_payload_may_come_from_a_file(profiles, tmp_path):
    (tmp_path / "payload").write_bytes(b"\x00\xff")
    assert "25.5" in decode(profiles, "--file", tmp_path / "payload").stdout


def test_programs_get_captures_and_values(profiles):
    found = json.loads(decode(profiles, "--hex", "00ff", "--json").stdout)
    assert found == {"profile": "pump", "site": "a", "device": "p7", "decoded": {"t": 25.5}}


def test_what_is_wrong_with_a_value_is_shown(profiles):
    assert "_invalid: 't' is 3276.7; it must be at most 100" in decode(
        profiles, "--hex", "7fff"
    ).stdout.replace("\n", " ")


def test_what_cannot_be_decoded_is_an_error(profiles):
    with pytest.raises(Undecodable, match="too long"):
        decode(profiles, "--text", "abc")


def test_a_topic_without_a_profile_is_an_error_that_names_the_templates(profiles):
    with pytest.raises(NoProfile, match=r"there are: plant/\{site\}/\{device\}/t"):
        run("decode", "x/y", "--profiles", profiles, "--text", "")
    with pytest.raises(NoProfile, match="did you mean 'pump'"):
        run("decode", "x/y", "--profiles", profiles, "--profile", "pumo", "--text", "")
    assert (
        "25.5"
        in run("decode", "x/y", "--profiles", profiles, "--profile", "pump", "--hex", "00ff").stdout
    )


@pytest.mark.parametrize(
    "options", [("--hex", "0"), ("--base64", "!"), ("--hex", "00", "--text", "x")]
)
def test_a_payload_that_is_not_written_right_is_bad_usage(profiles, options):
    assert decode(profiles, *options).exit_code == 2


def test_profiles_that_are_right_are_listed(profiles):
    lines = run("check", profiles).stdout.splitlines()
    assert lines[0].startswith("pump  frame  plant/{site}/{device}/t  ")
    assert lines[1] == "1 profiles in 1 files are right"
    found = json.loads(run("check", profiles, "--json").stdout)
    assert (found["profile"], found["fields"], found["invalid"]) == ("pump", ["t"], "tag")


def test_every_error_is_named_with_its_place(profiles):
    (profiles / "pump.yaml").write_text(PROFILE.replace("max: 100", "max: x"))
    result = run("check", profiles)
    assert result.exit_code == 1
    assert "pump.yaml:5:41: 'x' is not a number" in result.stderr
    complaint = json.loads(run("check", profiles, "--json").stderr)
    assert (complaint["line"], complaint["column"]) == (5, 41)
