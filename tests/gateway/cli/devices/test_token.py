from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli.devices.token import token
from gateway.clock import SystemClock
from gateway.devices import (
    DeviceInvalid,
    EnrolmentGroup,
    group_key,
    new_key,
    parse_token,
    signer_of,
)

SECRET = new_key(bytes(32))
FLEET = EnrolmentGroup("fleet", "token", "*", keys=(group_key(SECRET, "token", 0),))

app = typer.Typer()
app.command()(token)


def run(*arguments, key=SECRET, text=None):
    variables = {} if key is None else {"PENSTOCK_GROUP_KEY": key}
    result = CliRunner().invoke(app, ["p-7", "--group", "fleet", *arguments], text, variables)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_token_is_signed_for_a_device_and_a_time():
    before_ms = SystemClock().now_ms()
    result = run("--for", "2h")
    found = parse_token(result.stdout.strip().encode())
    assert signer_of(FLEET, found) is not None
    assert (found.device, found.group) == ("p-7", "fleet")
    assert 7_199_000 <= found.expires_ms - before_ms <= 7_260_000
    assert "counts until" in result.stderr


@pytest.mark.parametrize("is_file", [True, False])
def test_the_key_comes_from_a_file_or_is_asked_for(tmp_path, is_file):
    (tmp_path / "key").write_text(SECRET + "\n")
    arguments = ["--key-file", str(tmp_path / "key")] if is_file else []
    result = run(*arguments, "--json", key=None, text=f"{SECRET}\n")
    content = json.loads(result.stdout[result.stdout.index("{") :])
    assert signer_of(FLEET, parse_token(content["token"].encode())) is not None


def test_what_is_wrong_is_said(tmp_path):
    assert run("--for", "0s").exit_code == 2
    with pytest.raises(DeviceInvalid, match="can't read"):
        run("--key-file", str(tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(DeviceInvalid, match="there is no key"):
        run("--key-file", str(tmp_path / "empty"))
