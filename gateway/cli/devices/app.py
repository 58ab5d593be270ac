"""`penstock devices`: one line for each command; what a command does is in its own module.

A command is a function of a module beside this one: `app.command("list")(listing.list_devices)`. A
group of commands is a typer app: `app.add_typer(ota.app, name="ota")`. What is heavy to import is
imported in the function that needs it.
"""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def devices() -> None:
    """Say who the devices are, and look after them."""
