"""`python -m firmware_sim`: the simulator's commands without the rest of penstock."""

from __future__ import annotations

import sys

import typer

from firmware_sim.cli import app
from gateway.errors import PenstockError


def main() -> None:
    """Run the command line; exits as `penstock sim` does."""
    try:
        app(prog_name="penstock sim")
    except PenstockError as error:
        for line in str(error).splitlines():
            typer.echo(f"penstock: {line}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
