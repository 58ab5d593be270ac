"""`penstock init DIR`: a starter folder with configuration, device profiles and rules."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

import typer

from gateway.errors import PenstockError

FOLDERS = ("config", "devices", "handlers", "rules")

app = typer.Typer(pretty_exceptions_enable=False)


class StarterExists(PenstockError):
    """A folder that would be copied is there already."""


class StarterNotWritten(PenstockError):
    """The starter folder can't be written."""


def starter_root() -> Path:
    """Where the shipped folders lie: in the package, or beside it in a checkout."""
    with as_file(files("gateway")) as package:
        shipped = package / "starter"
        return shipped if shipped.is_dir() else package.parent


@app.command()
def init(directory: Path = typer.Argument(..., help="Folder to fill; made if need be.")) -> None:
    """Copy a starter configuration, profiles of devices and rules into DIRECTORY."""
    taken = [name for name in FOLDERS if (directory / name).exists()]
    if taken:
        raise StarterExists(f"{directory} has {', '.join(taken)} already; nothing was copied")
    root = starter_root()
    ignored = shutil.ignore_patterns("__pycache__")
    try:
        for name in FOLDERS:
            shutil.copytree(root / name, directory / name, ignore=ignored)
    except OSError as error:
        raise StarterNotWritten(f"can't write to {directory}: {error.strerror or error}") from error
    print(f"penstock: wrote {', '.join(FOLDERS)} to {directory}")
    print(f"penstock: next: cd {directory} && penstock serve")
