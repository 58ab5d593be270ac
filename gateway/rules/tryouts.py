"""The doors to `gateway.rules.trials`, which a running gateway never opens and need not import."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from gateway.rules.lookups import Version
from gateway.rules.rule_sets import RuleSet

if TYPE_CHECKING:
    from gateway.rules.schema import JsonSchema
    from gateway.rules.trials.cases import Trial, TrialFile
    from gateway.rules.trials.examinations import Examination
    from gateway.rules.trials.outcomes import Outcome


def parse_trials(text: str, path: str) -> TrialFile:
    """Read the text of a test file; `path` is what errors call it.

    Raises:
        DocumentInvalid: anything is wrong; every error is listed.
    """
    from gateway.rules.trials import reading

    return reading.parse_trials(text, path)


def rehearse(
    rules: RuleSet,
    trial: Trial,
    device_of: Callable[[str], str],
    versions: Iterable[Version] = (),
) -> Outcome:
    """Play one case to a fresh engine.

    `device_of` says which device a topic is about, `versions` are what the look-ups hold.
    """
    from gateway.rules.trials import rehearsals

    return rehearsals.rehearse(rules, trial, device_of, versions)


def trials_schema() -> JsonSchema:
    """The JSON Schema of test files."""
    from gateway.rules.trials import schema

    return schema.trials_schema()


def examine(rules: RuleSet, rule: str, key: str) -> Examination:
    """An engine that runs one rule, and keeps a journal of what the rule says about one key.

    Raises:
        KeyError: there is no such rule, or it rests.
    """
    from gateway.rules.trials.examinations import Examination

    return Examination(rules, rule, key)


def saved_counters(counters_entry: bytes | None) -> dict[str, dict[str, Any]]:
    """What each rule had met when the state was saved, by its id and the counter's name."""
    from gateway.rules import tallies

    return tallies.saved_counters(counters_entry)


def saved_hashes(engine_entry: bytes | None) -> dict[str, str]:
    """The hash of each rule whose state was saved, by its id."""
    from gateway.rules.trials import examinations

    return examinations.saved_hashes(engine_entry)


def stopped_rules(engine_entry: bytes | None) -> list[str]:
    """The rules that had failed and were stopped when the state was saved."""
    from gateway.rules.trials import examinations

    return examinations.stopped_rules(engine_entry)
