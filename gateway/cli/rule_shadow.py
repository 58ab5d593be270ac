"""`penstock rules shadow`: rules at work beside those of the gateway, without any effect.

They read the log that the gateway writes, from another process, and nothing is written: what they
say is only compared with what the gateway says.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import typer

from gateway.cli.live_differences import LiveDifferences
from gateway.cli.main import fail
from gateway.cli.record_lines import report_gaps
from gateway.cli.replay import OWN_STREAMS, PLACES, Wish, place
from gateway.cli.rule_diffs import (
    Change,
    DiffWish,
    Findings,
    decode_alert,
    described_change,
    line_of,
    place_of,
    summary_line,
    table_lines,
)
from gateway.cli.shadow_beginnings import Beginning, find_beginning, resume
from gateway.clock import Clock, SystemClock
from gateway.devices import load_profiles
from gateway.documents import parse_duration_ms
from gateway.events import Origin, RecordBatch, Run
from gateway.rules import (
    ALERTS_STREAM,
    RULES_CLIENT,
    TICKS_STREAM,
    Engine,
    Episodes,
    Loopback,
    Output,
    Step,
    Transition,
    compare,
    load_rules,
)
from gateway.store import Place, StreamReader, Tail, open_reader

BAD_USAGE = 2
LOOK_MS = 500
OWN_TICK_LAG_MS = 3_000
"""So long the gateway has to notice a silence before the shadow does so by itself."""
HEAR_OUT_MS = 2_000
"""So long the gateway has at the end to say what the shadow has said."""

Ending = tuple[asyncio.Event, int | None]


def shadow(
    rules: list[Path] = typer.Argument(..., help="Rule files, or folders of them."),
    data: Path = typer.Option(Path("penstock-data"), "--data", help="Data directory."),
    span: str = typer.Option("", "--for", help="How long, such as 10m; else until Ctrl-C."),
    start: str = typer.Option(
        "", "--from", help=f"Begin there with nothing remembered: {PLACES}. Else with now's state."
    ),
    stream: list[str] = typer.Option(
        [], help="Stream to read; may be repeated. Else those that the running rules read."
    ),
    profiles: list[Path] = typer.Option(
        [], help="Profile files, or folders of them, by which payloads are decoded."
    ),
    tolerance: str = typer.Option(
        "10s", "--tolerance", help="As much may lie between two alarms that are one."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Run rules beside a running gateway, without effect, and say how their alarms differ.

    Nothing is written or published. Each difference is a line, once it is certain; the table of
    all of them comes at the end.
    """
    span_ms = _duration(span, "--for") if span else None
    now_ms = SystemClock().now_ms()
    begin = place(start, now_ms, "--from") if start else None
    wish = Wish(tuple(stream), begin or Place("latest"), Place("latest"))
    asked = DiffWish(wish, load_rules(rules), None, _duration(tolerance, "--tolerance"))
    decoder_of = load_profiles(profiles).decoder_of if profiles else None
    engine = Engine(asked.new.rules, asked.new.inventories, decoder_of)
    asyncio.run(_run(data, Shadow(asked, engine, SystemClock(), as_json=as_json), begin, span_ms))


def _duration(text: str, option: str) -> int:
    found = parse_duration_ms(text)
    if found is None:
        fail(f"{option} {text!r} is not a duration; write 30s, 5m, 1h", BAD_USAGE)
    return found


async def _run(data: Path, own: Shadow, start: Place | None, span_ms: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reader = await open_reader(data)
    try:
        beginning = await find_beginning(reader, own.streams, start)
        own.begin(beginning)
        print(f"penstock: {own.count} rules in shadow, from {beginning.basis}", file=sys.stderr)
        await own.watch(reader, stop, span_ms)
    finally:
        await reader.close()
    own.print_sums()


@dataclass(slots=True)
class Sums:
    """What was counted on the way."""

    records: int = 0
    begun_ms: int = 0
    ended_ms: int = 0


class Shadow:
    """Rules in shadow, and what is known of how they differ from the running ones."""

    def __init__(self, asked: DiffWish, engine: Engine, clock: Clock, *, as_json: bool) -> None:
        self._asked = asked
        self._engine = engine
        self._loopback = Loopback(engine, asked.new.derived_streams_read)
        self._clock = clock
        self._as_json = as_json
        self._beginning = Beginning({}, {})
        self._positions: dict[tuple[str, int], int] = {}
        self._live = LiveDifferences(asked.tolerance_ms)
        self._old, self._new = Episodes(), Episodes()
        self._others: Counter[str] = Counter()
        self._sums = Sums(begun_ms=clock.monotonic_ms())
        self._now_ms = self._commit_no = 0

    @property
    def streams(self) -> Sequence[str]:
        """The streams that were asked for."""
        return self._asked.wish.streams

    @property
    def count(self) -> int:
        """How many rules run."""
        return len(self._asked.rules)

    def begin(self, beginning: Beginning) -> None:
        """Begin at a place of the log, with the alarms that are up on both sides."""
        self._beginning = beginning
        self._positions = dict(beginning.positions)
        for step in resume(self._engine, self._asked.new, beginning):
            if step.rule in self._asked.rules:
                self._old.take(step)
                self._new.take(step)
                self._live.take("old", step, 0)
                self._live.take("new", step, 0)
        self._live.settle(self._asked.tolerance_ms)

    async def watch(self, reader: StreamReader, stop: asyncio.Event, span_ms: int | None) -> None:
        """Follow the log until `stop` is set or the time is over, and print what differs."""
        end_ms = None if span_ms is None else self._clock.monotonic_ms() + span_ms
        while not self._is_over((stop, end_ms)):
            tail = reader.follow(self._positions)
            try:
                await self._follow(reader, tail, (stop, end_ms))
            finally:
                tail.close()
        await self._hear_out(reader)
        self._show(self._live.rest())
        self._sums.ended_ms = self._clock.monotonic_ms()

    def _is_over(self, ending: Ending) -> bool:
        stop, end_ms = ending
        return stop.is_set() or (end_ms is not None and self._clock.monotonic_ms() >= end_ms)

    async def _follow(self, reader: StreamReader, tail: Tail, ending: Ending) -> None:
        """Follow what there is, until the end or until there is a stream that should be read."""
        stopping = asyncio.ensure_future(ending[0].wait())
        reading = asyncio.ensure_future(tail.next())
        looked_ms = self._clock.monotonic_ms()
        try:
            while not self._is_over(ending):
                await asyncio.wait(
                    {reading, stopping},
                    timeout=LOOK_MS / 1_000,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if reading.done():
                    report_gaps(list(tail.gaps))
                    self.take(reading.result())
                    reading = asyncio.ensure_future(tail.next())
                else:
                    self.notice_silence()
                self._show(self._live.settle(self._now_ms))
                if self._clock.monotonic_ms() - looked_ms >= LOOK_MS:
                    looked_ms = self._clock.monotonic_ms()
                    if await self._find_streams(reader):
                        return
        finally:
            for task in (reading, stopping):
                task.cancel()
            await asyncio.gather(reading, stopping, return_exceptions=True)

    async def _find_streams(self, reader: StreamReader) -> bool:
        """Whether the gateway has made a stream for its rules since; it is read from its start."""
        added = False
        for spec in await reader.streams():
            if spec.name in (*OWN_STREAMS, ALERTS_STREAM):
                for number in range(spec.partitions):
                    added |= (spec.name, number) not in self._positions
                    self._positions.setdefault((spec.name, number), 0)
        return added

    async def _hear_out(self, reader: StreamReader) -> None:
        """Wait a moment for what the gateway says about the records that the shadow has seen."""
        seen = {**self._positions}
        alerts = {key: offset for key, offset in seen.items() if key[0] == ALERTS_STREAM}
        if not alerts:
            return
        tail = reader.follow(alerts)
        end_ms = self._clock.monotonic_ms() + HEAR_OUT_MS
        try:
            while (left_ms := end_ms - self._clock.monotonic_ms()) > 0:
                for batch in await asyncio.wait_for(tail.next(), left_ms / 1_000):
                    self._take_alerts(batch, seen)
        except TimeoutError:
            pass
        finally:
            tail.close()

    def take(self, batches: Iterable[RecordBatch]) -> None:
        """Take in the next records of the log."""
        for batch in batches:
            self._positions[batch.stream, batch.partition] = batch.next_offset
            self._commit_no = batch.commit_no
            self._now_ms = max(self._now_ms, batch.runs[-1].arrival_ms)
            if batch.stream == ALERTS_STREAM:
                self._take_alerts(batch, {})
                continue
            self._sums.records += 0 if batch.stream in OWN_STREAMS else batch.count
            self._gather(self._loopback.feed([batch]))

    def notice_silence(self) -> None:
        """Let time pass, as there is nothing to be read; the gateway may have no need of ticks."""
        self._now_ms = max(self._now_ms, self._clock.now_ms())
        tick_ms = self._now_ms - OWN_TICK_LAG_MS
        due_ms = self._engine.next_tick_ms()
        if due_ms is None or tick_ms < due_ms:
            return
        origin = Origin(TICKS_STREAM, TICKS_STREAM)
        payload = orjson.dumps({"now_ms": tick_ms})
        run = Run(TICKS_STREAM, 0, RULES_CLIENT, tick_ms, [origin], [payload], bytes(1))
        offset = self._positions.get((TICKS_STREAM, 0), 0)
        self._gather(
            self._loopback.feed([RecordBatch(TICKS_STREAM, 0, offset, self._commit_no, [run])])
        )

    def _gather(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, Transition) and output.rule in self._asked.rules:
                step = Step.of(output)
                self._new.take(step)
                self._live.take("new", step, self._now_ms)

    def _take_alerts(self, batch: RecordBatch, ends: dict[tuple[str, int], int]) -> None:
        """Take in what the gateway has said about records before `ends`, where they name one."""
        for record in batch.records():
            alert = decode_alert(record.payload)
            step, (stream, partition, offset) = Step.read(alert), place_of(alert)
            if step is None or not self._beginning.holds(stream, partition, offset):
                continue
            if offset >= ends.get((stream, partition), offset + 1):
                continue
            if step.rule in self._asked.rules:
                self._old.take(step)
                self._live.take("old", step, self._now_ms)
            elif step.event == "raised":
                self._others[step.rule] += 1

    def _show(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if self._as_json:
                print(json.dumps(described_change(change), ensure_ascii=False), flush=True)
            else:
                print(line_of(change), flush=True)

    def print_sums(self) -> None:
        """Print how the alarms differ on the whole."""
        difference = compare(self._old.all(), self._new.all(), self._asked.tolerance_ms)
        spent_ms = self._sums.ended_ms - self._sums.begun_ms
        is_cut = self._old.is_cut or self._new.is_cut or self._live.is_cut
        found = Findings(difference, self._sums.records, spent_ms, self._others, is_cut)
        if self._as_json:
            print(summary_line(self._asked, found))
            return
        for line in table_lines(self._asked, found):
            print(line)
