"""`penstock devices decode` and `check`: what profiles make of payloads, and if they are right."""

from __future__ import annotations

import base64
import binascii
import json
import sys
from pathlib import Path
from typing import Any

import orjson
import typer

from gateway.cli.main import fail
from gateway.devices import INVALID_FIELD, Profile, ProfileBook, load_profiles, profile_paths
from gateway.documents import did_you_mean
from gateway.errors import DocumentInvalid, PenstockError

BAD_USAGE = 2
SEPARATORS = " :-\n\t"
PROFILES = Path("devices")


class NoProfile(PenstockError):
    """No profile has that name or that topic."""


def decode(
    topic: str = typer.Argument(help="The topic to which the payload is published."),
    profiles: list[Path] = typer.Option(
        [PROFILES], "--profiles", help="Profile files, or folders of them."
    ),
    profile: str = typer.Option("", help="This profile, whatever the topic."),
    hex_digits: str = typer.Option("", "--hex", help="The payload in hexadecimal digits."),
    in_base64: str = typer.Option("", "--base64", help="The payload in base64."),
    text: str | None = typer.Option(None, help="The payload as text."),
    file: Path | None = typer.Option(None, help="A file that holds the payload."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Show what rules and readers see of a payload, given by an option or on stdin."""
    book = load_profiles(profiles)
    found = _profile(book, topic, profile)
    raw = _payload(hex_digits, in_base64, text, file)
    value = book.decoder_named(found.name)(raw)
    if as_json:
        captures = dict(book.captures_of(topic))
        print(json.dumps({"profile": found.name, **captures, "decoded": value}, ensure_ascii=False))
        return
    print(f"profile: {found.name}")
    for line in field_lines(found, value):
        print(line)


def check(
    paths: list[Path] = typer.Argument(help="Profile files, or folders of them."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Check profiles: every error with its place on stderr, or a line for each profile."""
    try:
        book = load_profiles(paths)
    except DocumentInvalid as error:
        for complaint in error.complaints:
            shown = json.dumps(complaint._asdict()) if as_json else str(complaint)
            print(shown, file=sys.stderr)
        raise typer.Exit(1) from None
    for own in book.profiles:
        print(json.dumps(described(own), ensure_ascii=False) if as_json else _line(own))
    if not as_json:
        print(f"{len(book)} profiles in {len(profile_paths(paths))} files are right")


def field_lines(profile: Profile, value: Any) -> list[str]:
    """A decoded payload for people: one field a line, with its unit."""
    if not isinstance(value, dict):
        return [_shown(value)]
    units = {field.name: field.unit for field in profile.fields}
    return [
        f"{name}: {own if name == INVALID_FIELD else _shown(own)} {units.get(name, '')}".rstrip()
        for name, own in value.items()
    ]


def described(profile: Profile) -> dict[str, Any]:
    """A profile for programs."""
    return {
        "profile": profile.name,
        "title": profile.title,
        "topics": [own.text for own in profile.topics],
        "format": profile.payload.format,
        "fields": [field.name for field in profile.fields],
        "undecodable": profile.undecodable,
        "invalid": profile.invalid,
        "path": profile.path,
    }


def _line(profile: Profile) -> str:
    topics = ", ".join(own.text for own in profile.topics) or "a base of others"
    return f"{profile.name}  {profile.payload.format}  {topics}  {profile.path}"


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()


def _profile(book: ProfileBook, topic: str, name: str) -> Profile:
    found = book.named(name) if name else book.profile_of(topic)
    if found is not None:
        return found
    if name:
        hint = did_you_mean(name, [own.name for own in book.profiles])
        raise NoProfile(f"there is no profile '{name}'{hint}")
    known = ", ".join(book.templates) or "none"
    raise NoProfile(f"no profile has the topic '{topic}'; there are: {known}")


def _payload(hex_digits: str, in_base64: str, text: str | None, file: Path | None) -> bytes:
    given = [bool(hex_digits), bool(in_base64), text is not None, file is not None]
    if sum(given) > 1:
        fail("give the payload once: --hex, --base64, --text or --file", BAD_USAGE)
    if hex_digits:
        try:
            return bytes.fromhex(hex_digits.translate(dict.fromkeys(map(ord, SEPARATORS))))
        except ValueError:
            fail("--hex takes pairs of the digits 0 to 9 and a to f", BAD_USAGE)
    if in_base64:
        try:
            return base64.b64decode(in_base64, validate=True)
        except binascii.Error as error:
            fail(f"--base64: {error}", BAD_USAGE)
    if text is not None:
        return text.encode()
    return sys.stdin.buffer.read() if file is None else file.read_bytes()
