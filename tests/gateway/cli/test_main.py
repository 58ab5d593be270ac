from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
import typer

from gateway import __version__
from gateway.cli import main
from gateway.cli.main import COMMANDS, ENTRY_POINTS, fail
from gateway.errors import Complaint, DocumentInvalid, PenstockError

ADDED = {point.name: point.module for point in entry_points(group=ENTRY_POINTS)}


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line in this process; returns exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["penstock", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return caught.value.code, printed.out, printed.err

    return call


@pytest.fixture
def with_command(monkeypatch):
    """Put a command `probe` into the tree, which does what is given."""

    def add(action):
        app = typer.Typer()
        app.command()(action)
        module = type(sys)("probe")
        module.app = app
        monkeypatch.setitem(sys.modules, "probe", module)
        monkeypatch.setitem(COMMANDS, "probe", "probe")

    return add


def imported_by(*arguments):
    """The modules that a command line imports, in an interpreter of its own."""
    program = (
        "import json, sys\n"
        "from gateway.cli import main\n"
        f"sys.argv = ['penstock', *{list(arguments)!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_the_version_is_told(run):
    assert run("--version") == (0, f"penstock {__version__}\n", "")


def test_the_help_lists_every_command_with_its_sentence(run):
    code, shown, _ = run("--help")
    assert code == 0
    for name in [*COMMANDS, *ADDED]:
        (line,) = [line for line in shown.splitlines() if f" {name} " in line[:20]]
        assert len(line.strip(" │").split()) > 2


@pytest.mark.parametrize("name", [*COMMANDS, *ADDED])
def test_every_command_has_help_of_its_own(run, name):
    code, shown, _ = run(name, "-h")
    assert (code, "--install-completion" in shown) == (0, False)
    assert f"penstock {name}" in shown


def test_no_command_at_all_shows_the_help_as_bad_usage(run):
    code, shown, _ = run()
    assert code == 2
    assert "serve" in shown


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nope"], "there is no command 'nope'; see 'penstock --help'"),
        (["serv"], "there is no command 'serv', did you mean 'serve'?; see 'penstock --help'"),
        (["--nope"], "No such option: --nope; see 'penstock --help'"),
        (["init"], "Missing argument 'directory'; see 'penstock init --help'"),
        (["serve", "--nope"], "No such option: --nope; see 'penstock serve --help'"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(run, arguments, complaint):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.lower() == f"penstock: {complaint.lower()}\n"


def test_an_error_of_ours_is_one_line_and_exit_code_1(run, with_command):
    def probe():
        raise PenstockError("no rules at x; --rules takes a file or a folder")

    with_command(probe)
    message = "penstock: no rules at x; --rules takes a file or a folder\n"
    assert run("probe") == (1, "", message)


def test_every_complaint_about_a_document_is_a_line(run, with_command):
    def probe():
        raise DocumentInvalid(
            [Complaint("a.yaml", 1, 2, "first"), Complaint("a.yaml", 3, 4, "second")]
        )

    with_command(probe)
    lines = "penstock: a.yaml:1:2: first\npenstock: a.yaml:3:4: second\n"
    assert run("probe") == (1, "", lines)


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (3, 3)])
def test_a_command_chooses_its_exit_code(run, with_command, code, expected):
    def probe():
        raise typer.Exit(code)

    with_command(probe)
    assert run("probe") == (expected, "", "")


def test_a_command_that_ends_normally_is_a_success(run, with_command):
    with_command(lambda: print("done"))
    assert run("probe") == (0, "done\n", "")


def test_an_interrupted_command_says_so_by_its_exit_code(run, with_command):
    def probe():
        raise KeyboardInterrupt

    with_command(probe)
    assert run("probe")[0] == 130


def test_an_aborted_question_is_one_line(run, with_command):
    def probe():
        raise typer.Abort

    with_command(probe)
    assert run("probe") == (1, "", "penstock: stopped\n")


def test_a_mistake_of_ours_is_not_hidden(run, with_command):
    def probe():
        raise ZeroDivisionError

    with_command(probe)
    with pytest.raises(ZeroDivisionError):
        run("probe")


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("one", "penstock: one\n"),
        ("one\ntwo", "penstock: one\npenstock: two\n"),
        ("", "penstock: \n"),
    ],
)
def test_failing_prints_each_line_and_exits(capsys, message, printed):
    with pytest.raises(SystemExit) as caught:
        fail(message, 2)
    assert (caught.value.code, capsys.readouterr().err) == (2, printed)


def test_the_version_imports_no_command():
    modules = imported_by("--version")
    commands = {*COMMANDS.values(), *ADDED.values()}
    assert not modules & {*commands, "gateway.app", "gateway.server", "asyncio", "yaml", "rich"}


def test_a_command_imports_no_other():
    modules = imported_by("init", "/dev/null/x")
    assert "gateway.cli.init" in modules
    others = {*COMMANDS.values(), *ADDED.values(), "gateway.app"} - {"gateway.cli.init"}
    assert not modules & others


def test_serving_imports_neither_the_rules_nor_the_other_commands():
    modules = imported_by("serve", "--host", "192.0.2.1")
    assert "gateway.server" in modules
    heavy = {"lark", "rich", "firmware_sim"}
    assert not modules & {*heavy, "gateway.cli.streams", "gateway.cli.rules", "gateway.cli.init"}


def run_in_shell(line):
    return subprocess.run(
        ["/bin/sh", "-c", line.replace("penstock", f"{sys.executable} -m gateway.cli")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_reader_that_has_enough_is_no_error_to_talk_about():
    done = run_in_shell("penstock --help | true")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_output_that_is_full_is_one_line():
    done = run_in_shell("penstock --version > /dev/full")
    assert (done.returncode, done.stderr) == (1, "penstock: No space left on device\n")
