"""`penstock rules test`: the cases of `*.test.yaml`, played to the rules on a virtual clock."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import typer

from gateway.clock import SystemClock
from gateway.devices import DeviceTopics
from gateway.documents import read_text
from gateway.errors import Complaint, DocumentInvalid
from gateway.pipeline import read_version
from gateway.rules import (
    Outcome,
    RuleSet,
    TrialFile,
    Version,
    load_rules,
    parse_trials,
    rehearse,
)

SUFFIXES = (".test.yaml", ".test.yml")
SHOWN_MAX = 12
BAD_FILES = 2
OWN_RULES = {"gateway/rule-error", "gateway/alarm-flood"}

PATHS = typer.Argument(..., help="Test files, or folders of them.")
JSON = typer.Option(False, "--json", help="Print one JSON object a line.")


class Loaded(NamedTuple):
    """A test file with the rules that it is about."""

    file: TrialFile
    rules: RuleSet
    versions: tuple[Version, ...]
    """What the look-ups hold that the rules read."""


def test(paths: list[Path] = PATHS, as_json: bool = JSON) -> None:
    """Play the cases of test files to their rules, on a virtual clock and without a gateway.

    Exits 1 when a case fails, and 2 when a test file or a rule file is wrong.
    """
    loaded, complaints = _load(paths)
    for complaint in complaints:
        print(json.dumps(complaint._asdict()) if as_json else str(complaint), file=sys.stderr)
    if complaints:
        raise typer.Exit(BAD_FILES)
    clock, device_of = SystemClock(), DeviceTopics().device_of
    counts = [0, 0]
    begun_ms = clock.monotonic_ms()
    for file, rules, versions in loaded:
        for trial in file.trials:
            case_ms = clock.monotonic_ms()
            outcome = rehearse(rules, trial, device_of, versions)
            counts[bool(outcome.failures)] += 1
            _show(outcome, clock.monotonic_ms() - case_ms, as_json)
    passed, failed = counts
    if not as_json:
        spent_ms = clock.monotonic_ms() - begun_ms
        total = passed + failed
        print(f"{total} {_plural(total)}: {passed} passed, {failed} failed ({spent_ms} ms)")
    if failed:
        raise typer.Exit(1)


def _plural(count: int) -> str:
    return "case" if count == 1 else "cases"


def _load(paths: list[Path]) -> tuple[list[Loaded], list[Complaint]]:
    """Every test file with its rules, and everything that is wrong with any of them."""
    loaded: list[Loaded] = []
    complaints: dict[Complaint, None] = {}
    found = list(trial_paths(paths))
    for path in found:
        try:
            file = parse_trials(read_text(path, str(path)), str(path))
            rules = load_rules([path.parent / name for name in file.rules])
            rules = rules.with_enabled(file.enabled)
            loaded.append(Loaded(file, rules, _versions(file, rules)))
            complaints |= dict.fromkeys(_strangers(file, rules))
        except DocumentInvalid as error:
            complaints |= dict.fromkeys(error.complaints)
    if not found:
        shown = ", ".join(str(path) for path in paths)
        complaints[Complaint(shown, 1, 1, "there is no *.test.yaml here")] = None
    return loaded, list(complaints)


def _versions(file: TrialFile, rules: RuleSet) -> tuple[Version, ...]:
    """What the look-ups of the rules hold now.

    Raises:
        DocumentInvalid: one can't be read.
    """
    found = []
    for name, lookup in rules.lookups_used.items():
        try:
            found.append(read_version(lookup))
        except (OSError, ValueError) as error:
            message = f"look-up '{name}' can't be read: {error}"
            raise DocumentInvalid([Complaint(file.path, 1, 1, message)]) from error
    return tuple(found)


def trial_paths(paths: list[Path]) -> Iterator[Path]:
    """The test files among and below `paths`, in a fixed order."""
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.name.endswith(SUFFIXES))
        else:
            yield path


def _strangers(file: TrialFile, rules: RuleSet) -> Iterator[Complaint]:
    """Expectations about rules that the file doesn't load: a slip that would always be met."""
    known = {rule.id for rule in rules.rules}
    names = ", ".join(sorted(known)[:SHOWN_MAX])
    where = f"in {', '.join(file.rules)}; there are: {names}"
    for rule in file.enabled:
        if rule not in known:
            yield Complaint(file.path, 1, 1, f"'enable': no rule '{rule}' {where}")
    known |= OWN_RULES
    for trial in file.trials:
        for one in trial.expectations:
            about = one.fields.get("rule")
            if about is not None and about not in known:
                yield Complaint(file.path, one.line, one.column, f"no rule '{about}' {where}")


def _show(outcome: Outcome, spent_ms: int, as_json: bool) -> None:
    trial = outcome.trial
    if as_json:
        print(json.dumps(_described(outcome, spent_ms), ensure_ascii=False))
        return
    verdict = "FAIL" if outcome.failures else "ok  "
    print(f"{verdict}  {trial.path}:{trial.line}  {trial.name}")
    for failure in outcome.failures:
        print(f"      {trial.path}:{failure.line}:{failure.column}: {failure.message}")
    if outcome.failures:
        print("      what happened:")
        for one in outcome.happenings[:SHOWN_MAX]:
            print(f"        {one.shown}")
        more = len(outcome.happenings) - SHOWN_MAX
        if more > 0:
            print(f"        and {more} more; --json lists them all")
        if not outcome.happenings:
            print("        nothing")


def _described(outcome: Outcome, spent_ms: int) -> dict[str, object]:
    trial = outcome.trial
    return {
        "file": trial.path,
        "line": trial.line,
        "case": trial.name,
        "passed": not outcome.failures,
        "events": len(trial.events),
        "ms": spent_ms,
        "failures": [failure._asdict() for failure in outcome.failures],
        "happened": [
            {"about": one.about, "at_ms": one.at_ms, **one.fields} for one in outcome.happenings
        ],
    }
