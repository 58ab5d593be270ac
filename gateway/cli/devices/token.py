"""`penstock devices token`: a password for one device and a time, signed with a group's key."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import typer

from gateway.cli.main import fail
from gateway.cli.record_lines import iso_time
from gateway.clock import SystemClock
from gateway.devices import DeviceInvalid, check_device_id, sign_token, signing_key
from gateway.documents import parse_duration_ms

BAD_USAGE = 2
MS_PER_S = 1_000
KEY_VARIABLE = "PENSTOCK_GROUP_KEY"


def token(
    device: str = typer.Argument(help="Id of the device that may come in by it."),
    group: str = typer.Option(..., help="The enrolment group whose key signs."),
    lasts: str = typer.Option("1h", "--for", help="How long it counts."),
    key_file: Path | None = typer.Option(
        None, help=f"File with the group's key [default: ${KEY_VARIABLE}, or it is asked for]."
    ),
    json: bool = typer.Option(False, "--json", help="Print a JSON object."),
) -> None:
    """Make a token: the device's password for a limited time. No gateway is needed for it."""
    check_device_id(device)
    check_device_id(group)
    lasts_ms = parse_duration_ms(lasts)
    if not lasts_ms:
        fail(f"--for {lasts!r} is not a duration above zero (write 1h, 7d)", BAD_USAGE)
    expires_s = (SystemClock().now_ms() + lasts_ms) // MS_PER_S
    made = sign_token(signing_key(read_key(key_file).encode()), group, device, expires_s)
    if json:
        content = {"device": device, "group": group, "token": made, "expires": expires_s}
        print(orjson.dumps(content).decode())
        return
    print(made)
    typer.echo(f"user name {device}; counts until {iso_time(expires_s * MS_PER_S)}", err=True)


def read_key(path: Path | None) -> str:
    """The group's key: not from the command line, where everybody on the machine can read it.

    Raises:
        DeviceInvalid: the file can't be read, or there is no key in it.
    """
    if path is None:
        key = os.environ.get(KEY_VARIABLE) or typer.prompt("Key of the group", hide_input=True)
    else:
        try:
            key = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise DeviceInvalid(f"can't read {path}: {error}") from error
    key = str(key).strip()
    if not key:
        raise DeviceInvalid(
            "there is no key; 'penstock devices enrol create --kind token' makes one"
        )
    return key
