"""`penstock rules explain` and `why`: what the log and the saved state say about one alarm."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from gateway.cli.replay import PLACES, Stretch, Wish, find_stretch, learn_devices, place, read
from gateway.cli.rule_diffs import decode_alert, place_of
from gateway.clock import SystemClock
from gateway.documents import did_you_mean
from gateway.errors import PenstockError
from gateway.events import Record, RecordBatch
from gateway.rules import (
    ALERTS_STREAM,
    Cause,
    Engine,
    Examination,
    Loopback,
    RuleSet,
    Transition,
    examine,
    load_rules,
    saved_hashes,
)
from gateway.store import Place, Scan, StreamReader, open_reader

GROUP = "rules"
TABLE = "rules"
MARK = "mark"
ENGINE = "engine"
SUPPRESSED_MAX = 5

RULES = typer.Option(Path("rules"), "--rules", help="Rule file, or folder of them.")
DATA = typer.Option(Path("penstock-data"), "--data", help="Data directory.")
STREAM = typer.Option(["telemetry"], help="Stream to read; may be repeated.")
JSON = typer.Option(False, "--json", help="Print one JSON object.")


class NotExplained(PenstockError):
    """There is no such rule, or no such alert."""


def explain(
    rule: str = typer.Argument(..., help="Id of the rule."),
    key: str = typer.Option("", "--key", help="Key of the alarm, as alerts have it."),
    at: str = typer.Option("latest", "--at", help=f"Up to where to look: {PLACES}."),
    start: str = typer.Option("earliest", "--from", help=f"Where to begin: {PLACES}."),
    rules: Path = RULES,
    data: Path = DATA,
    stream: list[str] = STREAM,
    as_json: bool = JSON,
) -> None:
    """Say how a rule stands about a key, and why: values, times, near misses.

    Works beside a running gateway and on a stopped one; nothing is written.
    """
    now_ms = SystemClock().now_ms()
    wish = Wish(tuple(stream), place(start, now_ms, "--from"), place(at, now_ms, "--at"))
    found = asyncio.run(_explain(data, Question(load_rules([rules]), rule, key, wish)))
    _print(found, explained_lines(found), as_json)


def why(
    alert: str = typer.Argument(..., help="Id of the alert, as the stream alerts has it."),
    rules: Path = RULES,
    data: Path = DATA,
    stream: list[str] = STREAM,
    as_json: bool = JSON,
) -> None:
    """Derive an alert again from the log: the same bytes, and what brought them about.

    Exits 1 when something else comes of it, and says what.
    """
    found = asyncio.run(_why(data, load_rules([rules]), alert, tuple(stream)))
    _print(found, why_lines(found), as_json)
    if not found["is_exact"]:
        raise typer.Exit(1)


def _print(found: dict[str, Any], lines: Iterator[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for line in lines:
        print(line if line.isprintable() else line.encode("unicode_escape").decode())


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: about which rule and key, over which stretch of the log."""

    rules: RuleSet
    rule: str
    key: str
    wish: Wish

    def begin(self) -> Examination:
        """A fresh examination.

        Raises:
            NotExplained: there is no such rule, or it rests.
        """
        try:
            return examine(self.rules, self.rule, self.key)
        except KeyError:
            known = [rule.id for rule in self.rules.rules if rule.enabled]
            hint = did_you_mean(self.rule, known) or f"; there are: {', '.join(known) or 'none'}"
            raise NotExplained(f"no rule '{self.rule}' runs{hint}") from None


async def _explain(data: Path, question: Question) -> dict[str, Any]:
    reader = await open_reader(data)
    try:
        history = question.begin()
        stretch = await find_stretch(reader, question.wish)
        await _play(reader, stretch, history)
        saved = saved_hashes(await reader.entry(TABLE, ENGINE)).get(question.rule)
        current, basis = history, "the log"
        is_now = question.wish.stop.kind == "latest"
        if is_now and saved == history.spec.source_hash:
            current, basis = await _resume(reader, question), "the saved state, and the log since"
        return {
            "rule": question.rule,
            "key": question.key,
            "hash": history.spec.source_hash,
            "running_hash": saved,
            "from": basis,
            **current.standing(),
            "expressions": history.expressions(),
            "near_misses": history.near_misses(),
            "suppressed": await _suppressed(reader, question),
        }
    finally:
        await reader.close()


async def _play(reader: StreamReader, stretch: Stretch, examination: Examination) -> None:
    loopback = Loopback(examination.engine, examination.rules.derived_streams_read)
    await learn_devices(reader, examination.engine, examination.rules, stretch)
    async for batch in read(reader, stretch):
        loopback.feed([batch])


async def _resume(reader: StreamReader, question: Question) -> Examination:
    """The state of the last checkpoint, and all records since."""
    examination = question.begin()
    offsets, entries = await read_checkpoint(reader)
    examination.engine.restore(entries)
    stretch = await find_stretch(reader, question.wish)
    starts = {key: max(stretch.starts[key], offsets.get(key, 0)) for key in stretch.starts}
    await _play(reader, Stretch(starts, stretch.stops, is_by_offset=False), examination)
    return examination


async def read_checkpoint(
    reader: StreamReader,
) -> tuple[dict[tuple[str, int], int], list[tuple[str, bytes]]]:
    """What the last checkpoint left: how far the rules had read, and their state."""
    while True:
        offsets = await _group_offsets(reader)
        entries = [entry for entry in await reader.entries(TABLE) if entry[0] != MARK]
        if offsets == await _group_offsets(reader):
            return offsets, entries  # no other checkpoint came between


async def _group_offsets(reader: StreamReader) -> dict[tuple[str, int], int]:
    groups = {group.name: dict(group.offsets) for group in await reader.groups()}
    return groups.get(GROUP, {})


async def read_alerts(reader: StreamReader) -> AsyncIterator[tuple[Record, dict[str, Any]]]:
    """Every alert that the log holds, as it is stored and decoded."""
    partitions = {spec.name: spec.partitions for spec in await reader.streams()}
    keys = [(ALERTS_STREAM, number) for number in range(partitions.get(ALERTS_STREAM, 0))]
    bounds = {key: await reader.bounds(*key) for key in keys}
    starts = {key: found[0] for key, found in bounds.items()}
    stops = {key: found[1] for key, found in bounds.items()}
    async for batch in Scan(reader, starts, stops).batches():
        for record in batch.records():
            yield record, decode_alert(record.payload)


async def _suppressed(reader: StreamReader, question: Question) -> list[dict[str, Any]]:
    """The last notifications that were held back."""
    found: deque[dict[str, Any]] = deque(maxlen=SUPPRESSED_MAX)
    async for _, alert in read_alerts(reader):
        is_ours = (alert.get("rule"), alert.get("key")) == (question.rule, question.key)
        if is_ours and alert.get("suppressed"):
            names = ("time", "event", "suppressed", "id")
            found.append({name: alert.get(name) for name in names})
    return list(found)


async def _why(data: Path, rules: RuleSet, alert_id: str, streams: Sequence[str]) -> dict[str, Any]:
    reader = await open_reader(data)
    try:
        stored = None
        async for record, alert in read_alerts(reader):
            if alert.get("id") == alert_id:
                stored = record, alert
        if stored is None:
            raise NotExplained(
                f"no alert '{alert_id}' in the log; see penstock streams read alerts --json"
            )
        return await _derive(reader, rules, streams, stored)
    finally:
        await reader.close()


async def _derive(
    reader: StreamReader,
    rules: RuleSet,
    streams: Sequence[str],
    stored: tuple[Record, dict[str, Any]],
) -> dict[str, Any]:
    """Run the rule again up to the record that brought the alert about, and a step further."""
    record, alert = stored
    stream, partition, offset = place_of(alert)
    wish = Wish(tuple(streams), Place("earliest"), Place("latest"))
    question = Question(rules, str(alert.get("rule")), str(alert.get("key")), wish)
    examination = question.begin()
    stretch = await find_stretch(reader, wish)
    await learn_devices(reader, examination.engine, rules, stretch)
    rerun = Rerun(examination, (stream, partition, offset), str(alert.get("id")))
    async for batch in read(reader, stretch):
        if rerun.take(batch):
            break
    derived = rerun.transition
    lost = {f"{key[0]}/{key[1]}": start for key, start in stretch.starts.items() if start}
    differing = []
    if derived is not None:
        fields = derived.as_mapping()
        differing = [name for name in fields if fields[name] != alert.get(name)]
    return {
        "id": alert.get("id"),
        "is_exact": derived is not None and derived.encode() == record.payload,
        "is_derived": derived is not None,
        "differs_in": differing,
        "rule_hash": alert.get("rule_hash"),
        "hash_now": examination.spec.source_hash,
        "log_begins_at": lost,
        "alert": alert,
        "cause": {"stream": stream, "partition": partition, "offset": offset},
        "inputs": rerun.inputs(),
        "before": rerun.before,
        "after": rerun.after,
        "expressions": rerun.expressions,
    }


class Rerun:
    """Feeds the log to an examination until a certain record, and looks before and after it."""

    def __init__(self, examination: Examination, cause: tuple[str, int, int], alert: str) -> None:
        self.transition: Transition | None = None
        self.before: dict[str, Any] | None = None
        self.after: dict[str, Any] | None = None
        self.expressions: list[dict[str, Any]] = []
        self._examination = examination
        self._cause = cause
        self._alert = alert
        self._loopback = Loopback(examination.engine, examination.rules.derived_streams_read)
        rules = examination.unwatched
        plain = Engine(rules.rules, rules.inventories)
        self._plain = Loopback(plain, rules.derived_streams_read)

    def take(self, batch: RecordBatch) -> bool:
        """Take in a batch; say whether the record was in it."""
        stream, partition, offset = self._cause
        is_there = (batch.stream, batch.partition) == (stream, partition)
        if not is_there or not batch.base_offset <= offset < batch.next_offset:
            self._feed(batch)
            return self.transition is not None
        self._feed(batch.slice(batch.base_offset, offset))
        self.before = self._examination.standing()
        self._feed(batch.slice(offset, offset + 1))
        self.after = self._examination.standing()
        self.expressions = self._examination.expressions()
        return True

    def _feed(self, batch: RecordBatch) -> None:
        if not batch.count:
            return
        self._loopback.feed([batch])
        for output in self._plain.feed([batch]):
            if isinstance(output, Transition) and output.id == self._alert:
                self.transition = output

    def inputs(self) -> dict[str, Any]:
        """The records whose values count: those of the window or of `for`, else just the last."""
        spec = self._examination.spec
        window_ms = spec.window.size_ms if spec.window is not None else 0
        for_ms = spec.condition.for_ms if spec.condition is not None else 0
        found = list(self._examination.journal.inputs)
        last_ms = found[-1][0] if found else 0
        causes = [cause for ms, cause in found if ms >= last_ms - window_ms - for_ms]
        return {
            "count": len(causes),
            "first": _spelled(causes[0]) if causes else None,
            "last": _spelled(causes[-1]) if causes else None,
        }


def _spelled(cause: Cause) -> str:
    return f"{cause.stream}/{cause.partition}@{cause.offset}"


def explained_lines(found: dict[str, Any]) -> Iterator[str]:
    """An explanation for people."""
    state = " and ".join(found["state"])
    yield f"{found['rule']} {found['key']}: {state} (by {found['from']})"
    if found["running_hash"] not in (None, found["hash"]):
        yield "the running gateway has another version of this rule"
    if not found["is_known"]:
        yield "nothing is remembered of this key"
    yield from _standing_lines(found)
    yield from _expression_lines(found["expressions"])
    for title, names in (("near_misses", ("time", "what")), ("suppressed", ("time", "suppressed"))):
        if found[title]:
            yield f"last {title.replace('_', ' ')}:"
        for one in found[title]:
            yield f"  {one[names[0]]}  {one[names[1]]}"


def why_lines(found: dict[str, Any]) -> Iterator[str]:
    """The derivation of an alert for people."""
    alert, cause = found["alert"], found["cause"]
    yield f"{alert['event']} {alert['rule']} {alert['key']}: {alert['message']}"
    yield f"reason: {alert['reason']}"
    yield f"rule: {found['rule_hash'] or 'an unknown version'}"
    yield (
        f"brought about by {cause['stream']}/{cause['partition']}@{cause['offset']}; "
        f"{found['inputs']['count']} looks from {found['inputs']['first']} "
        f"to {found['inputs']['last']}"
    )
    for name in ("before", "after"):
        if found[name] is not None:
            yield f"{name}: {' and '.join(found[name]['state'])}"
            yield from _standing_lines(found[name])
    yield from _expression_lines(found["expressions"])
    yield from _verdict_lines(found)


def _verdict_lines(found: dict[str, Any]) -> Iterator[str]:
    if found["is_exact"]:
        yield "derived again from the log: the same bytes"
        return
    if found["is_derived"]:
        yield f"derived again from the log, but not the same: {', '.join(found['differs_in'])}"
    else:
        yield "it doesn't come of the log again"
    if found["rule_hash"] and found["rule_hash"] != found["hash_now"]:
        yield f"the rule has changed since: it is {found['hash_now']} now"
    for place_, start in found["log_begins_at"].items():
        yield f"the log of {place_} begins at offset {start}: what came before is gone"


def _standing_lines(found: dict[str, Any]) -> Iterator[str]:
    names = ("phase", "since", "severity", "n", "next_timer", "watermark", "newest_event")
    for name in names:
        if found.get(name) is not None:
            yield f"  {name.replace('_', ' ')}: {found[name]}"
    window = found.get("window")
    if window:
        what = ", ".join(f"{name} {one}" for name, one in window.items() if one is not None)
        yield f"  window: {what}"


def _expression_lines(expressions: list[dict[str, Any]]) -> Iterator[str]:
    for one in expressions:
        yield f"{one['role']} at {one['time']}:"
        for part in one["parts"]:
            why_ = f"  ({part['why']})" if part["why"] else ""
            value = json.dumps(part["value"], ensure_ascii=False)
            value = "unknown" if part["is_unknown"] else value
            yield f"  {'  ' * part['depth']}{part['text']} = {value}{why_}"
