"""The command tree, where each command's module is imported only when it is asked for.

The gateway must accept within a second of its start on a small machine, and `serve` needs none of
what the other commands import. Other packages add commands by the entry-point group
`penstock.commands`.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.metadata import entry_points
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from gateway import __version__
from gateway.errors import PenstockError

ENTRY_POINTS = "penstock.commands"
COMMANDS = {
    "init": "gateway.cli.init",
    "serve": "gateway.cli.serve",
    "streams": "gateway.cli.streams",
    "rules": "gateway.cli.rules",
}


class LazyCommands(TyperGroup):
    """A group that knows its commands by name, and imports one when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *sorted(point.name for point in entry_points(group=ENTRY_POINTS))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = COMMANDS.get(cmd_name)
        if module is not None:
            return _as_command(importlib.import_module(module).app, cmd_name)
        for point in entry_points(group=ENTRY_POINTS, name=cmd_name):
            return _as_command(point.load(), cmd_name)
        return None


def _as_command(app: Any, name: str) -> Any:
    command = typer.main.get_command(app)
    command.name = name
    return command


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"penstock {__version__}")
        raise typer.Exit


@app.callback()
def penstock(
    version: bool = typer.Option(
        False, "--version", help="Show the version and stop.", callback=_show_version, is_eager=True
    ),
) -> None:
    """Take in what devices say over MQTT, keep it, replay it, watch it with rules."""


def main() -> NoReturn:
    """Run the command line; exits 0 on success, 1 on failure, 2 on bad usage."""
    try:
        app(prog_name="penstock")
    except PenstockError as error:
        fail(str(error))
    except BrokenPipeError:
        # Whoever read our output has enough; Python must not complain when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def fail(message: str, exit_code: int = 1) -> NoReturn:
    """Print an error on stderr, one line for each thing that is wrong, and exit."""
    for line in message.splitlines() or [""]:
        print(f"penstock: {line}", file=sys.stderr)
    sys.exit(exit_code)
