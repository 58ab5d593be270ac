"""`penstock rules replay --diff`: which alarms other rules would have raised, and which not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import orjson

from gateway.cli.derived_causes import event_behind
from gateway.cli.replay import Stretch, Wish, find_stretch, learn_devices, read
from gateway.clock import SystemClock
from gateway.rules import (
    ALERTS_STREAM,
    TICKS_STREAM,
    Difference,
    Engine,
    Episode,
    Episodes,
    Loopback,
    Pair,
    RuleSet,
    Step,
    Transition,
    compare,
    cost_of,
    spell_duration,
    spell_time,
)
from gateway.store import Scan, StreamReader, open_reader

COLUMNS = ("old", "new", "same", "shifted", "only_old", "only_new")
MS_PER_S = 1_000
SIGNS = {"shifted": "~", "only_old": "-", "only_new": "+"}


@dataclass(frozen=True, slots=True)
class DiffWish:
    """What is compared: rules with what the gateway said, or with other rules where there are any.

    `tolerance_ms` may lie between two episodes that are one alarm.
    """

    wish: Wish
    new: RuleSet
    old: RuleSet | None
    tolerance_ms: int

    @property
    def rules(self) -> frozenset[str]:
        """The rules that are compared: those that the new set runs."""
        return frozenset(rule.id for rule in self.new.rules if rule.enabled)


@dataclass(slots=True)
class Findings:
    """What came of both sets."""

    difference: Difference
    records: int
    spent_ms: int
    others: Counter[str]
    is_cut: bool


class Change(NamedTuple):
    """An episode that differs; `either` is the new one where there is one."""

    kind: Literal["shifted", "only_old", "only_new"]
    either: Episode
    old: Episode | None
    new: Episode | None


async def print_difference(data: Path, asked: DiffWish, *, as_json: bool) -> None:
    """Run the new rules over the log, and print how their alarms differ from the old ones."""
    reader = await open_reader(data)
    try:
        found = await find_difference(reader, asked)
    finally:
        await reader.close()
    for line in json_lines(asked, found) if as_json else text_lines(asked, found):
        print(line)


async def find_difference(reader: StreamReader, asked: DiffWish) -> Findings:
    """The difference; both sets see the log in one pass."""
    clock = SystemClock()
    begun_ms = clock.monotonic_ms()
    stretch = await find_stretch(reader, asked.wish)
    others: Counter[str] = Counter()
    new, old = Episodes(), Episodes()
    runs = [(await _looped(reader, asked.new, stretch), new)]
    if asked.old is None:
        others = await _gather_recorded(reader, stretch, old, asked.rules)
    else:
        runs.append((await _looped(reader, asked.old, stretch), old))
    records = 0
    async for batch in read(reader, stretch):
        records += 0 if batch.stream == TICKS_STREAM else batch.count
        for loopback, episodes in runs:
            _gather(loopback.feed([batch]), episodes, asked.rules)
    difference = compare(old.all(), new.all(), asked.tolerance_ms)
    spent_ms = clock.monotonic_ms() - begun_ms
    return Findings(difference, records, spent_ms, others, old.is_cut or new.is_cut)


def _gather(outputs: Iterable[object], episodes: Episodes, rules: frozenset[str]) -> None:
    for output in outputs:
        if isinstance(output, Transition) and output.rule in rules:
            episodes.take(Step.of(output))


async def _gather_recorded(
    reader: StreamReader, stretch: Stretch, episodes: Episodes, rules: frozenset[str]
) -> Counter[str]:
    """Gather what the gateway has said; returns how often it raised alarms of other rules."""
    others: Counter[str] = Counter()
    async for step in recorded_steps(reader, stretch):
        if step.rule in rules:
            episodes.take(step)
        elif step.event == "raised":
            others[step.rule] += 1
    return others


async def _looped(reader: StreamReader, rules: RuleSet, stretch: Stretch) -> Loopback:
    engine = Engine(rules.rules, rules.inventories)
    await learn_devices(reader, engine, rules, stretch)
    return Loopback(engine, rules.derived_streams_read)


async def recorded_steps(reader: StreamReader, stretch: Stretch) -> AsyncIterator[Step]:
    """What the gateway has said about the records of a stretch, in order."""
    streams = {spec.name: spec.partitions for spec in await reader.streams()}
    keys = [(ALERTS_STREAM, number) for number in range(streams.get(ALERTS_STREAM, 0))]
    bounds = {key: await reader.bounds(*key) for key in keys}
    starts = {key: found[0] for key, found in bounds.items()}
    stops = {key: found[1] for key, found in bounds.items()}
    async for batch in Scan(reader, starts, stops).batches():
        for record in batch.records():
            alert = decode_alert(record.payload)
            step = Step.read(alert)
            if step is None:
                continue
            place = await event_behind(reader, place_of(alert), stretch.streams)
            if stretch.holds(*place):
                yield step


def decode_alert(payload: bytes) -> dict[str, object]:
    """A record of the stream `alerts`; empty where it is none."""
    try:
        alert = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return alert if isinstance(alert, dict) else {}


def place_of(alert: Mapping[str, object]) -> tuple[str, int, int]:
    """Where the record lies that brought an alert about; nowhere, where it doesn't say so."""
    stream, partition, offset = (alert.get(name) for name in ("stream", "partition", "offset"))
    if isinstance(stream, str) and isinstance(partition, int) and isinstance(offset, int):
        return stream, partition, offset
    return "", 0, 0


def counts_of(asked: DiffWish, difference: Difference) -> dict[str, Counter[str]]:
    """How many episodes of each rule differ in which way."""
    counts: dict[str, Counter[str]] = {
        rule.id: Counter() for rule in asked.new.rules if rule.enabled
    }
    for pair in difference.pairs:
        own = counts[pair.old.rule]
        own.update(("old", "new", "same" if pair.is_same else "shifted"))
    for name, episodes in (("old", difference.only_old), ("new", difference.only_new)):
        for episode in episodes:
            counts[episode.rule].update((name, f"only_{name}"))
    return counts


def json_lines(asked: DiffWish, found: Findings) -> Iterator[str]:
    """Each episode that differs, then the sums."""
    for change in changes_of(found.difference):
        yield json.dumps(described_change(change), ensure_ascii=False)
    yield summary_line(asked, found)


def summary_line(asked: DiffWish, found: Findings) -> str:
    """The sums, for programs."""
    counts = counts_of(asked, found.difference)
    summary = {
        "summary": {rule: {name: own[name] for name in COLUMNS} for rule, own in counts.items()},
        "records": found.records,
        "ms": found.spent_ms,
        "state_bytes_max": sum(cost_of(rule).bytes_max for rule in asked.new.rules),
        "rules_not_compared": dict(sorted(found.others.items())),
        "is_cut": found.is_cut,
    }
    return json.dumps(summary)


def text_lines(asked: DiffWish, found: Findings) -> Iterator[str]:
    """Each episode that differs, then a table."""
    for change in changes_of(found.difference):
        yield line_of(change)
    yield from table_lines(asked, found)


def table_lines(asked: DiffWish, found: Findings) -> Iterator[str]:
    """The sums of each rule, for people."""
    counts = counts_of(asked, found.difference)
    width = max((len(rule) for rule in counts), default=0)
    width = max(width, len("rule"))
    titles = "  ".join(f"{name.replace('_', ' '):>8}" for name in COLUMNS)
    yield f"{'rule':<{width}}  {titles}"
    for rule, own in counts.items():
        yield f"{rule:<{width}}  " + "  ".join(f"{own[name]:>8}" for name in COLUMNS)
    rate = found.records * MS_PER_S // max(1, found.spent_ms)
    spent = found.spent_ms / MS_PER_S
    yield f"{found.records:,} records in {spent:.1f} s, {rate:,} a second"
    if found.others:
        named = ", ".join(f"{rule} ({count})" for rule, count in sorted(found.others.items()))
        yield f"not compared, as the new set doesn't run them: {named}"
    if found.is_cut:
        yield "there are more alarms than can be compared; take a shorter stretch"


def changes_of(difference: Difference) -> list[Change]:
    """What differs, in the order of rule, key and time."""
    found = [
        Change("shifted", pair.new, pair.old, pair.new)
        for pair in difference.pairs
        if not pair.is_same
    ]
    found += (Change("only_old", one, one, None) for one in difference.only_old)
    found += (Change("only_new", one, None, one) for one in difference.only_new)
    return sorted(
        found, key=lambda change: (change.either.rule, change.either.key, change.either.start_ms)
    )


def described_change(change: Change) -> dict[str, object]:
    """A change for programs."""
    old, new = change.old, change.new
    line: dict[str, object] = {
        "change": change.kind,
        "rule": change.either.rule,
        "key": change.either.key,
        "old": None if old is None else _described(old),
        "new": None if new is None else _described(new),
    }
    if old is not None and new is not None:
        line["raised_later_ms"], line["cleared_later_ms"] = Pair(old, new).edges
    return line


def _described(episode: Episode) -> dict[str, object]:
    end_ms = episode.end_ms
    return {
        "raised": spell_time(episode.start_ms),
        "cleared": None if end_ms is None else spell_time(end_ms),
        "severity": episode.severity,
        "message": episode.message,
    }


def line_of(change: Change) -> str:
    """A change for people; nothing in it can move a terminal's cursor."""
    line = f"{SIGNS[change.kind]} {_spelled(change.either)}"
    if change.old is not None and change.new is not None:
        line += _shift(change.old, change.new)
    return line if line.isprintable() else line.encode("unicode_escape").decode()


def _shift(old: Episode, new: Episode) -> str:
    raised_ms, cleared_ms = Pair(old, new).edges
    what = f"  raised {_later(raised_ms or 0)}"
    if cleared_ms is None:
        what += ", still up" if new.end_ms is None else ", was still up"
    elif new.end_ms is not None:
        what += f", cleared {_later(cleared_ms)}"
    if old.severity != new.severity:
        what += f", {new.severity} instead of {old.severity}"
    return what


def _spelled(episode: Episode) -> str:
    end_ms = episode.end_ms
    span = "still up" if end_ms is None else f"for {spell_duration(end_ms - episode.start_ms)}"
    start = spell_time(episode.start_ms)
    return f"{start}  {episode.rule}  {episode.key}  {episode.severity}  {span}"


def _later(ms: int) -> str:
    if ms == 0:
        return "at the same time"
    return f"{spell_duration(abs(ms))} {'later' if ms > 0 else 'earlier'}"
