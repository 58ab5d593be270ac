"""Reads `*.test.yaml`: every error with its place, or the cases as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.documents import Node, Section, open_document, parse_duration_ms
from gateway.rules.spec import SEVERITIES
from gateway.rules.trials.cases import Expectation, Trial, TrialFile
from gateway.rules.trials.inputs import SPAN_MS_MAX, parse_start_ms, read_events

VERSION: Final = 1
CASES_MAX: Final = 1_000
EXPECTATIONS_MAX: Final = 1_000
START: Final = "2026-01-01T00:00:00Z"
EVENTS: Final = (
    "raised",
    "changed",
    "cleared",
    "latched",
    "acked",
    "shelved",
    "unshelved",
    "reminded",
)
STATES: Final = (
    "idle",
    "pending",
    "raised",
    "clearing",
    "acked",
    "cleared-unacked",
    "shelved",
)
TEXT_FIELDS: Final = ("rule", "key", "message", "reason", "suppressed")
NUMBER_FIELDS: Final = ("n",)
ENDS: Final = 2


def parse_trials(text: str, path: str) -> TrialFile:
    """Read the text of a test file; `path` is what errors call it.

    Raises:
        DocumentInvalid: anything is wrong; every error is listed.
    """
    document = open_document(text, path)
    if document.integer("version", VERSION) != VERSION:
        document.complain(f"this program reads version {VERSION} of test files", "version")
    document.require("rules", "cases")
    rules = tuple(document.texts("rules"))
    enabled = tuple(document.texts("enable"))
    sections = document.sections("cases")
    if len(sections) > CASES_MAX:
        document.complain(f"more than {CASES_MAX} cases in one file", "cases")
    trials = tuple(_read_trial(section) for section in sections[:CASES_MAX])
    document.finish()
    _check_names(document, sections)
    document.raise_complaints()
    return TrialFile(path, rules, enabled, trials)


def _check_names(document: Section, sections: list[Section]) -> None:
    seen: set[str] = set()
    for section in sections:
        name = section.text("name")
        if name and name in seen:
            section.complain(f"duplicate case '{name}'", "name")
        seen.add(name)
    if not sections and "cases" in document:
        document.complain("'cases' lists no case", "cases")


def _read_trial(section: Section) -> Trial:
    section.require("name")
    start_ms = parse_start_ms(section.text("start", START))
    if start_ms is None:
        section.complain("'start' is an ISO time, as in 2026-01-01T00:00:00Z", "start")
        start_ms = 0
    events = read_events(section.sections("input"), start_ms)
    expectations = [
        _read_expectation(one, is_forbidden=is_forbidden)
        for key, is_forbidden in (("expect", False), ("expect_no", True))
        for one in section.sections(key)
    ]
    if not expectations:
        section.complain("a case expects something: write 'expect' or 'expect_no'")
    if len(expectations) > EXPECTATIONS_MAX:
        section.complain(f"more than {EXPECTATIONS_MAX} expectations in one case")
    ends = [event.arrival_ms for event in events]
    ends += [one.end_ms for one in expectations if one.end_ms is not None]
    until_ms = section.duration_ms("until", max(ends, default=0), most=SPAN_MS_MAX)
    if ends and until_ms < max(ends):
        section.complain("'until' lies before the last input or expectation", "until")
    trial = Trial(
        section.text("name"),
        section.path,
        section.node.line,
        start_ms,
        until_ms,
        tuple(events),
        tuple(expectations),
    )
    section.finish()
    return trial


def _read_expectation(section: Section, *, is_forbidden: bool) -> Expectation:
    start_ms, end_ms = _span(section)
    fields: dict[str, Any] = {
        key: section.text(key) for key in TEXT_FIELDS if section.get(key) is not None
    }
    fields |= {
        key: section.integer(key, least=0) for key in NUMBER_FIELDS if section.get(key) is not None
    }
    for key, options in (("event", EVENTS), ("severity", SEVERITIES), ("state", STATES)):
        if section.get(key) is not None:
            fields[key] = section.choice(key, options)
    for key in ("publish", "stream"):
        if section.get(key) is not None:
            fields[key] = section.text(key)
    payload = section.get("payload")
    if payload is not None:
        fields["payload"] = payload.plain()
    times = section.integer("times", least=0) if section.get("times") is not None else None
    section.finish()
    if not fields:
        section.complain("an expectation says what: write 'rule', 'event', 'state', 'publish' …")
    about = _about(section, fields)
    if about == "state" and ("at" not in section or "rule" not in section):
        section.complain("'state' needs 'at' and 'rule': how an alarm stands at a moment", "state")
    return Expectation(
        about,
        section.node.line,
        section.node.column,
        start_ms,
        end_ms,
        fields,
        times,
        is_forbidden,
    )


def _about(section: Section, fields: Mapping[str, Any]) -> Any:
    """What kind of outcome is expected, by the keys that are written."""
    if "publish" in fields:
        allowed, about = {"publish", "payload"}, "publication"
    elif "stream" in fields:
        allowed, about = {"stream", "payload", "key", "rule"}, "record"
    elif "state" in fields:
        allowed, about = {"rule", "key", "state"}, "state"
    else:
        allowed, about = set(TEXT_FIELDS) | {"event", "severity", "n"}, "step"
    for key in fields.keys() - allowed:
        first = next(word for word in ("publish", "stream", "state", key) if word in fields)
        hint = "it goes with 'publish' or 'stream'" if key == "payload" else f"not with '{first}'"
        section.complain(f"'{key}' has no place here: {hint}", key, at_key=True)
    return about


def _span(section: Section) -> tuple[int, int | None]:
    """The moments between which something is expected; without an end, the whole case."""
    if "at" in section and "within" in section:
        section.complain("either 'at' or 'within', not both", "within", at_key=True)
    if "at" in section:
        at_ms = section.duration_ms("at", most=SPAN_MS_MAX)
        return at_ms, at_ms
    node = section.get("within")
    if node is None:
        return 0, None
    ends = [_duration_ms(section, item) for item in section.items(node, "within")]
    if node.kind == "scalar":
        return 0, ends[0]
    if len(ends) != ENDS or ends[0] > ends[1]:
        section.complain("'within' is one duration, or two in order: [8m, 12m]", "within")
        return 0, None
    return ends[0], ends[1]


def _duration_ms(section: Section, node: Node) -> int:
    found = parse_duration_ms(node.source) if node.kind == "scalar" else None
    if found is None or found > SPAN_MS_MAX:
        section.complain_at(node, f"{node.shown} is not a duration (write 30s, 5m, 1h30m, 7d)")
        return 0
    return found
