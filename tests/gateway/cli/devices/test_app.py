import typer

from gateway.cli.devices import app


def test_every_command_of_devices_is_there_once():
    names = [command.name for command in app.registered_commands]
    assert {"add", "list", "show", "import", "export"} <= set(names)
    assert len(names) == len(set(names))
    assert typer.main.get_command(app).help
