"""`penstock devices compare`: whether changed profiles fit what was sent and what reads it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import orjson
import typer

from gateway.cli.main import fail
from gateway.devices import PROFILE_MODES, ProfileMode, load_profiles, profile_breaks

BAD_USAGE = 2


def compare(
    paths: list[Path] = typer.Argument(help="Profile files, or folders of them, as they are now."),
    against: list[Path] = typer.Option(
        ..., "--against", help="As they were: files or folders; may be given several times."
    ),
    mode: str = typer.Option(
        "backward",
        help="What must hold: backward (what was sent before is still read), forward (what reads "
        "it understands the new), full (both) or none.",
    ),
    json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Compare profiles with those of before; exit 1 if something that must hold is broken."""
    modes: dict[str, ProfileMode] = {one: one for one in get_args(ProfileMode)}
    if mode not in modes:
        fail(f"--mode {mode!r}: write {', '.join(modes)}", BAD_USAGE)
    required = PROFILE_MODES[modes[mode]]
    found = profile_breaks(load_profiles(against).profiles, load_profiles(paths).profiles)
    for one in found:
        is_error = one.direction in required
        if json:
            typer.echo(orjson.dumps({**one._asdict(), "is_error": is_error}).decode())
        else:
            word = "error" if is_error else "note"
            typer.echo(f"{one.path}: {one.profile}: {one.message} ({one.direction}; {word})")
    broken = sum(one.direction in required for one in found)
    if not json:
        typer.echo(f"{broken} breaks" if broken else f"compatible ({mode})")
    if broken:
        raise typer.Exit(1)
