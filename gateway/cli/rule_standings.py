"""`penstock rules list --data`: how the rules of a gateway fare: their alarms, and their health."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gateway.cli.rule_questions import ENGINE, TABLE, read_alerts
from gateway.rules import (
    RULE_ERROR,
    SIDE_STREAM_PREFIX,
    RuleSpec,
    saved_counters,
    saved_hashes,
    stopped_rules,
)
from gateway.store import StreamReader, open_reader

ALARMS_TABLE = "alarms"
COUNTERS = "counters"
STATES = ("raised", "acked", "cleared-unacked", "shelved")
LAST_FIELDS = ("event", "key", "severity", "time", "message", "id")


@dataclass(slots=True)
class RuleStanding:
    """What the log knows of one rule.

    `hash` is the version at work, where the log has it; `last` the last step of one of its alarms;
    `side_events` how many events were set aside as late or early, None without such a stream;
    `counters` what it had met when its state was saved.
    """

    rule: str
    hash: str | None = None
    alarms: Counter[str] = field(default_factory=Counter)
    last: dict[str, Any] | None = None
    side_events: int | None = None
    fault: str | None = None
    counters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def health(self) -> str:
        """In a word; nothing is known of a rule until it has said something or was saved."""
        if self.fault is not None:
            return "degraded"
        return "ok" if self.hash or self.last or self.alarms else "not seen yet"


async def read_standings(data: Path) -> dict[str, RuleStanding]:
    """How every rule stands of which the log knows, by its id.

    Raises:
        StoreUnavailable: there is no log in `data`, or it can't be read.
    """
    reader = await open_reader(data)
    try:
        engine = await reader.entry(TABLE, ENGINE)
        found = {rule: RuleStanding(rule, own) for rule, own in saved_hashes(engine).items()}
        for rule in stopped_rules(engine):
            found[rule].fault = "it has failed, and is stopped"
        for rule, met in saved_counters(await reader.entry(TABLE, COUNTERS)).items():
            found.setdefault(rule, RuleStanding(rule)).counters = met
        await _add_last_steps(reader, found)
        await _add_alarms(reader, found)
        await _add_side_events(reader, found)
    finally:
        await reader.close()
    return dict(sorted(found.items()))


async def _add_last_steps(reader: StreamReader, found: dict[str, RuleStanding]) -> None:
    async for _, alert in read_alerts(reader):
        rule = alert.get("rule")
        if not isinstance(rule, str):
            continue
        own = found.setdefault(rule, RuleStanding(rule))
        own.last = {name: alert.get(name) for name in LAST_FIELDS}
        if not own.hash and alert.get("rule_hash"):
            own.hash = str(alert["rule_hash"])


async def _add_alarms(reader: StreamReader, found: dict[str, RuleStanding]) -> None:
    for _, told in await reader.entries(ALARMS_TABLE):
        alarm = orjson.loads(told)
        found.setdefault(alarm["rule"], RuleStanding(alarm["rule"])).alarms[alarm["state"]] += 1
        if alarm["rule"] == RULE_ERROR:
            failed = found.setdefault(alarm["key"], RuleStanding(alarm["key"]))
            failed.fault = alarm["message"]


async def _add_side_events(reader: StreamReader, found: dict[str, RuleStanding]) -> None:
    for spec in await reader.streams():
        own = found.get(spec.name.removeprefix(SIDE_STREAM_PREFIX))
        if own is not None and spec.name.startswith(SIDE_STREAM_PREFIX):
            own.side_events = sum(one.log_end_offset for one in await reader.extents(spec.name))


def with_files(
    found: Mapping[str, RuleStanding], rules: Iterable[RuleSpec]
) -> list[tuple[RuleStanding, RuleSpec | None]]:
    """The rules of the files in their order, then those that only the log knows."""
    specs = {rule.id: rule for rule in rules}
    listed = [(found.get(rule) or RuleStanding(rule), spec) for rule, spec in specs.items()]
    return [*listed, *((own, None) for rule, own in found.items() if rule not in specs)]


def standing_lines(
    listed: Sequence[tuple[RuleStanding, RuleSpec | None]], *, as_json: bool
) -> Iterator[str]:
    """A line for each rule."""
    for own, spec in listed:
        if as_json:
            yield json.dumps(describe(own, spec), ensure_ascii=False)
            continue
        line = _line_of(own, spec)
        yield line if line.isprintable() else line.encode("unicode_escape").decode()


def describe(own: RuleStanding, spec: RuleSpec | None) -> dict[str, object]:
    """How a rule stands, for programs."""
    return {
        "rule": own.rule,
        "health": own.health,
        "fault": own.fault,
        "hash": own.hash,
        "hash_of_file": None if spec is None else spec.source_hash,
        "path": None if spec is None else spec.path,
        "line": None if spec is None else spec.line,
        "alarms": {state: own.alarms[state] for state in STATES},
        "last": own.last,
        "side_events": own.side_events,
        "counters": own.counters,
    }


def _line_of(own: RuleStanding, spec: RuleSpec | None) -> str:
    rests = spec is not None and not spec.enabled
    counts = ", ".join(f"{own.alarms[state]} {state}" for state in STATES if own.alarms[state])
    parts = [own.rule, "disabled" if rests else own.health, counts or "no alarm"]
    if own.last is not None:
        parts.append(f"last {own.last['event']} {own.last['key'] or '-'} at {own.last['time']}")
    if own.counters.get("evaluated"):
        parts.append(f"{own.counters['evaluated']:,} events")
    if own.counters.get("faults"):
        parts.append(f"{own.counters['faults']:,} faults")
    if own.side_events:
        parts.append(f"{own.side_events} set aside as late or early")
    if spec is not None and own.hash not in (None, spec.source_hash):
        parts.append("the file has another version")
    if own.fault is not None:
        parts.append(own.fault)
    return "  ".join(parts)
