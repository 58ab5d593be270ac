"""The documents tell the truth: links lead somewhere, commands exist, settings are named."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from gateway.cli.main import app
from gateway.config import load_config
from gateway.errors import DocumentInvalid
from gateway.rules import SUPPORTED, parse_rules

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
README = ROOT / "README.md"
RULES_GUIDE = ROOT / "docs" / "rules.md"
CONFIG = ROOT / "config" / "gateway.yaml"
DECISION_LINES_MAX = 60

LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(#[^)]*)?\)")
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<content>.*?)^```", re.M | re.S)
HEADING = re.compile(r"^# \S", re.M)
FLAGS_OF_ALL = {"--help", "-h", "--version"}
SECTIONS = {
    "the top": "version: 1\nnot-a-setting: 1\n",
    "listen": "version: 1\nlisten: [{not-a-setting: 1}]\n",
    "devices": "version: 1\ndevices: {not-a-setting: 1}\n",
    "streams": "version: 1\nstreams: [{name: a, not-a-setting: 1}]\n",
    "retention": "version: 1\nstreams: [{name: a, retention: {not-a-setting: 1}}]\n",
    "store": "version: 1\nstore: {not-a-setting: 1}\n",
    "flapping": "version: 1\nlimits: {flapping: {not-a-setting: 1}}\n",
    "limits": "version: 1\nlimits: {not-a-setting: 1}\n",
}


def names_of(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=names_of(DOCUMENTS))


def blocks(path: Path, *languages: str) -> list[str]:
    """The fenced blocks of a document in these languages."""
    return [
        match["content"]
        for match in FENCE.finditer(path.read_text())
        if match["language"] in languages
    ]


def command_named(words: list[str]) -> tuple[object, list[str]]:
    """The command that the first words name, and the words after it; fails on an unknown one."""
    command, rest = typer.main.get_command(app), list(words)
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        found = command.get_command(typer.Context(command), rest[0])
        assert found is not None, f"no such command: penstock {shlex.join(words)}"
        command, rest = found, rest[1:]
    return command, rest


def all_commands(command: object, name: str = "penstock") -> Iterator[tuple[str, object]]:
    """Every command below one, with its full name."""
    if not isinstance(command, TyperGroup):
        yield name, command
        return
    context = typer.Context(command)
    for child in command.list_commands(context):
        yield from all_commands(command.get_command(context, child), f"{name} {child}")


COMMANDS = dict(all_commands(typer.main.get_command(app)))


@each_document
def test_every_link_leads_to_a_file(path):
    text = FENCE.sub("", path.read_text())
    targets = [match[1] for match in LINK.finditer(text) if "://" not in match[1]]
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert missing == []


@each_document
def test_a_document_begins_with_its_title(path):
    assert HEADING.match(path.read_text())


def test_a_decision_fits_on_a_page():
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(path.name[:4]) for path in decisions]
    assert numbers == list(range(1, len(numbers) + 1))
    too_long = [
        path.name for path in decisions if path.read_text().count("\n") > DECISION_LINES_MAX
    ]
    assert too_long == []


def shown_commands() -> list[str]:
    """Every `penstock …` line of a shell block, without comments and without what a shell adds."""
    lines = []
    for path in DOCUMENTS:
        for block in blocks(path, "sh", "shell", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                if re.match(r"(\$ )?penstock ", line):
                    words = shlex.split(line.removeprefix("$ "), comments=True)
                    stop = next((n for n, word in enumerate(words) if word in "|&&;>"), len(words))
                    lines.append(shlex.join(words[1:stop]))
    return sorted(set(lines))


@pytest.mark.parametrize("line", shown_commands())
def test_a_command_in_a_document_exists_with_its_options(line):
    command, rest = command_named(shlex.split(line))
    known = {flag for parameter in command.params for flag in parameter.opts}
    # What follows a bare `--` belongs to another command.
    own = rest[: rest.index("--")] if "--" in rest else rest
    flags = {word.partition("=")[0] for word in own if word.startswith("--")}
    assert flags <= known | FLAGS_OF_ALL


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does(name):
    command = COMMANDS[name]
    assert command.help
    silent = [own.name for own in command.params if own.opts[0].startswith("--") and not own.help]
    assert silent == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_documented(name):
    assert any(name in path.read_text() for path in DOCUMENTS), f"no document names '{name}'"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_in_the_shipped_configuration(section, tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(SECTIONS[section])
    with pytest.raises(DocumentInvalid) as raised:
        load_config(path)
    complaint = next(one for one in raised.value.complaints if "not-a-setting" in one.message)
    known = complaint.message.partition("known here: ")[2].split(", ")
    assert len(known) > 1 or section == "devices"
    shipped = CONFIG.read_text()
    missing = [name for name in known if not re.search(rf"(^|[\s{{])#?\s?{name}:", shipped)]
    assert missing == []


def rule_blocks() -> list[tuple[str, str]]:
    """Every YAML block of a document that is a whole rule file."""
    return [
        (path.name, block)
        for path in DOCUMENTS
        for block in blocks(path, "yaml")
        if re.search(r"^rules:", block, re.M) and re.search(r"^version:", block, re.M)
    ]


@pytest.mark.parametrize(("name", "text"), rule_blocks())
def test_a_rule_in_a_document_loads(name, text):
    assert parse_rules(text, name).rules


@pytest.mark.parametrize("feature", sorted(SUPPORTED))
def test_what_rules_can_do_is_documented(feature):
    word = feature.rpartition(".")[2]
    guide = RULES_GUIDE.read_text()
    assert re.search(rf"\b{word}\b", guide), f"docs/rules.md doesn't mention '{word}' ({feature})"
