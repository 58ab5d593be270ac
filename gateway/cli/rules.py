"""`penstock rules`: check, list and describe rule files, and run them over the log."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import typer

from gateway.cli.main import fail
from gateway.cli.replay import replay
from gateway.cli.rule_questions import explain, why
from gateway.cli.rule_shadow import shadow
from gateway.cli.rule_trials import test
from gateway.errors import DocumentInvalid
from gateway.rules import (
    RuleSet,
    RuleSpec,
    cost_of,
    load_rules,
    rule_paths,
    rules_schema,
    trials_schema,
)

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
BAD_USAGE = 2

app = typer.Typer(help="Check, test, list and replay rules.", no_args_is_help=True)
app.command()(replay)
app.command()(test)
app.command()(explain)
app.command()(why)
app.command()(shadow)

PATHS = typer.Argument(..., help="Rule files, or folders of them.")
LISTED = typer.Argument(None, help="Rule files, or folders of them.")
DATA = typer.Option(None, "--data", help="Data directory: list alarms and health beside them.")
JSON = typer.Option(False, "--json", help="Print one JSON object a line.")


@app.command()
def check(paths: list[Path] = PATHS, as_json: bool = JSON) -> None:
    """Check rule files: every error with its place on stderr, or a summary of what they do."""
    try:
        rules = load_rules(paths)
    except DocumentInvalid as error:
        _print_errors(error, as_json)
        raise typer.Exit(1) from None
    for warning in rules.warnings:
        print(
            f"{warning.path}:{warning.line}:{warning.column}: warning: {warning.message}",
            file=sys.stderr,
        )
    if as_json:
        print(json.dumps(_summary(paths, rules)))
        return
    for line in _summary_lines(paths, rules):
        print(line)


@app.command("list")
def list_rules(paths: list[Path] = LISTED, data: Path | None = DATA, as_json: bool = JSON) -> None:
    """List rules: what they read, look for and do, or how those of a gateway fare."""
    if data is not None:
        from gateway.cli.rule_standings import read_standings, standing_lines, with_files

        specs = load_rules(paths).rules if paths else ()
        for line in standing_lines(
            with_files(asyncio.run(read_standings(data)), specs), as_json=as_json
        ):
            print(line)
        return
    if not paths:
        fail("list needs rule files, or --data with the data directory of a gateway", BAD_USAGE)
    rules = load_rules(paths)
    for rule in rules.rules:
        print(json.dumps(_described(rule)) if as_json else _line_of(rule))


@app.command()
def schema(
    tests: bool = typer.Option(False, "--tests", help="That of test files instead."),
) -> None:
    """Print the JSON Schema of rule files, for editors."""
    print(json.dumps(trials_schema() if tests else rules_schema(), indent=2))


def _print_errors(error: DocumentInvalid, as_json: bool) -> None:
    for complaint in error.complaints:
        print(json.dumps(complaint._asdict()) if as_json else str(complaint), file=sys.stderr)


def _summary(paths: list[Path], rules: RuleSet) -> dict[str, object]:
    costs = [cost_of(rule) for rule in rules.rules if rule.enabled]
    return {
        "files": len(rule_paths(paths)),
        "rules": len(rules.rules),
        "enabled": len(costs),
        "sources": _sources(rules),
        "warnings": len(rules.warnings),
        "state_bytes_max": sum(cost.bytes_max for cost in costs),
    }


def _summary_lines(paths: list[Path], rules: RuleSet) -> list[str]:
    found = _summary(paths, rules)
    lines = [
        f"{found['rules']} rules in {found['files']} files are right; {found['enabled']} enabled",
        f"sources: {', '.join(_sources(rules)) or 'none'}",
    ]
    for rule in rules.rules:
        cost = cost_of(rule)
        lines.append(
            f"  {rule.id}: {_size(cost.key_bytes_at_1_hz)} of state for a key at one event a "
            f"second, {_size(cost.key_bytes_at_1_hz * cost.keys_max)} for {cost.keys_max} keys, "
            f"never more than {_size(cost.bytes_max)}"
        )
    return lines


def _sources(rules: RuleSet) -> list[str]:
    return sorted(
        {_spelled(rule, place) for rule in rules.rules for place in range(len(rule.sources))}
    )


def _spelled(rule: RuleSpec, place: int) -> str:
    source = rule.sources[place]
    return source.name if source.kind == "topic" else f"rule:{source.name}"


def _described(rule: RuleSpec) -> dict[str, object]:
    cost = cost_of(rule)
    return {
        "rule": rule.id,
        "title": rule.title,
        "enabled": rule.enabled,
        "sources": [_spelled(rule, place) for place in range(len(rule.sources))],
        "key": [expression.text for expression in rule.key],
        "detector": _detector(rule),
        "window": rule.window.kind if rule.window else None,
        "severity": rule.alarm.severity if rule.alarm else None,
        "publishes": [publish.topic.text for publish in rule.publish],
        "emits": rule.emit.stream if rule.emit else None,
        "tags": list(rule.tags),
        "hash": rule.source_hash,
        "state_bytes_max": cost.bytes_max,
        "path": rule.path,
        "line": rule.line,
    }


def _detector(rule: RuleSpec) -> str | None:
    present = {
        "when": rule.condition,
        "sequence": rule.sequence,
        "absent": rule.absent,
        "anomaly": rule.anomaly,
    }
    return next((name for name, block in present.items() if block is not None), None)


def _line_of(rule: RuleSpec) -> str:
    found = _described(rule)
    sources = ", ".join(_spelled(rule, place) for place in range(len(rule.sources)))
    what = rule.condition.when.text if rule.condition else str(found["detector"] or "emit")
    state = "" if rule.enabled else " (disabled)"
    severity = rule.alarm.severity if rule.alarm else "-"
    return f"{rule.id}{state}  {severity}  {sources}  {what}  {rule.path}:{rule.line}"


def _size(size_bytes: int) -> str:
    if size_bytes >= GIB:
        return f"{size_bytes / GIB:.1f} GiB"
    if size_bytes >= MIB:
        return f"{size_bytes / MIB:.1f} MiB"
    return f"{size_bytes / KIB:.1f} KiB"
