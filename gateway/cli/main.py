"""The command tree, where each command's module is imported only when it is asked for.

The gateway must accept within a second of its start on a small machine, and `serve` needs none of
what the other commands import. Other packages add commands by the entry-point group
`penstock.commands`.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from gateway import __version__
from gateway.errors import PenstockError

ENTRY_POINTS = "penstock.commands"
COMPLETION_OPTIONS = ("install_completion", "show_completion")
USAGE_EXIT_CODE = 2
COMMANDS = {
    "init": "gateway.cli.init",
    "serve": "gateway.cli.serve",
    "streams": "gateway.cli.streams",
    "rules": "gateway.cli.rules",
    "alarms": "gateway.cli.alarms",
    "handlers": "gateway.cli.handlers",
    "devices": "gateway.cli.devices",
    "backup": "gateway.cli.backup",
    "restore": "gateway.cli.restore",
    "audit": "gateway.cli.audit",
    "doctor": "gateway.cli.doctor",
}


# typer may bring its own click; this is the base of what either raises for wrong usage.
UsageError: Any = typer.BadParameter.__base__


class LazyCommands(TyperGroup):
    """A group that knows its commands by name, and imports one when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *sorted(point.name for point in _entry_points())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = COMMANDS.get(cmd_name)
        if module is not None:
            return _as_command(importlib.import_module(module).app, cmd_name)
        for point in _entry_points():
            if point.name == cmd_name:
                return _as_command(point.load(), cmd_name)
        return None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and args[0] not in self.list_commands(ctx):
            from gateway.documents import did_you_mean

            hint = did_you_mean(args[0], self.list_commands(ctx))
            ctx.fail(f"there is no command '{args[0]}'{hint}")
        return super().resolve_command(ctx, args)


def _entry_points() -> Any:
    """The commands that other packages add; finding them is slow, so it is done when needed."""
    from importlib.metadata import entry_points

    return entry_points(group=ENTRY_POINTS)


def _as_command(app: Any, name: str) -> Any:
    command = typer.main.get_command(app)
    command.name = name
    # They belong to `penstock`, not to each of its commands.
    command.params = [one for one in command.params if one.name not in COMPLETION_OPTIONS]
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
        exit_code = app(prog_name="penstock", standalone_mode=False)
        sys.stdout.flush()
    except PenstockError as error:
        fail(str(error))
    except UsageError as error:
        refuse(error)
    except typer.Abort:
        fail("stopped")
    except OSError as error:
        # Nothing more can be said there, and Python must not complain when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail(f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror))
    sys.exit(exit_code or 0)


def refuse(error: Any) -> NoReturn:
    """Say in one line what is wrong with a command line; a group without a command shows help."""
    message = error.format_message()
    if not message or "\n" in message:
        print(message, file=sys.stderr, end="")
        sys.exit(USAGE_EXIT_CODE)
    command = "penstock" if error.ctx is None else error.ctx.command_path
    fail(f"{message.rstrip('.')}; see '{command} --help'", USAGE_EXIT_CODE)


def fail(message: str, exit_code: int = 1) -> NoReturn:
    """Print an error on stderr, one line for each thing that is wrong, and exit."""
    for line in message.splitlines() or [""]:
        print(f"penstock: {line}", file=sys.stderr)
    sys.exit(exit_code)
