"""`penstock devices`: one line for each command; what a command does is in its own module.

A command is a function of a module beside this one: `app.command("list")(listing.list_devices)`. A
group of commands is a typer app: `app.add_typer(ota.app, name="ota")`. What is heavy to import is
imported in the function that needs it.
"""

from __future__ import annotations

import typer

from gateway.cli.devices import (
    command,
    comparing,
    decode,
    enrolling,
    jobs,
    ota,
    registering,
    token,
    transfer,
    twin,
)

app = typer.Typer(no_args_is_help=True)
app.command("add")(registering.add)
app.command("list")(registering.list_devices)
app.command("show")(registering.show)
app.command("change")(registering.change)
app.command("rotate")(registering.rotate)
app.command("revoke")(registering.revoke)
app.command("disable")(registering.disable)
app.command("enable")(registering.enable)
app.command("remove")(registering.remove)
app.command("twin")(twin.twin)
app.command("command")(command.command)
app.add_typer(jobs.app, name="jobs")
app.add_typer(ota.app, name="ota")
app.command("decode")(decode.decode)
app.command("check")(decode.check)
app.command("compare")(comparing.compare)
app.command("import")(transfer.import_devices)
app.command("export")(transfer.export_devices)
app.add_typer(enrolling.app, name="enrol")
app.command("token")(token.token)


@app.callback()
def devices() -> None:
    """Say who the devices are, and look after them."""
