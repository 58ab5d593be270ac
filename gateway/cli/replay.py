"""`penstock rules replay`: what rules would have said about the log that a gateway holds."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson
import typer

from gateway.cli.main import fail
from gateway.clock import SystemClock
from gateway.devices import load_profiles
from gateway.documents import did_you_mean, parse_duration_ms
from gateway.errors import UnknownStream
from gateway.events import RecordBatch
from gateway.rules import (
    ALARMS_STREAM,
    LOOKUPS_STREAM,
    TICKS_STREAM,
    TWINS_STREAM,
    Engine,
    Loopback,
    RuleCounters,
    RuleSet,
    Transition,
    load_rules,
    spell_time,
)
from gateway.store import Place, Scan, StreamReader, offsets_at, open_reader, parse_place

PLACES = "earliest, latest, @OFFSET, -1h or an ISO time"
BAD_USAGE = 2
PROGRESS_RECORDS = 100_000
OWN_STREAMS = (TICKS_STREAM, ALARMS_STREAM, LOOKUPS_STREAM, TWINS_STREAM)

Key = tuple[str, int]


def replay(
    rules: list[Path] = typer.Option(..., "--rules", help="Rule files, or folders of them."),
    data: Path = typer.Option(Path("penstock-data"), "--data", help="Data directory."),
    stream: list[str] = typer.Option(["telemetry"], help="Stream to read; may be repeated."),
    start: str = typer.Option("earliest", "--from", help=f"Where to begin: {PLACES}."),
    stop: str = typer.Option("latest", "--to", help=f"Where to end, that excluded: {PLACES}."),
    profiles: list[Path] = typer.Option(
        [], help="Profile files, or folders of them, by which payloads are decoded."
    ),
    diff: bool = typer.Option(
        False, "--diff", help="Print how the alarms differ from those that the gateway raised."
    ),
    against: list[Path] = typer.Option(
        [], "--against", help="With --diff: differ from what these rule files would have raised."
    ),
    tolerance: str = typer.Option(
        "1m", "--tolerance", help="With --diff: as much may lie between two that are one alarm."
    ),
    json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Run rules over the log, beside a running gateway or on a stopped one, and print alarms.

    Nothing is written or published. The same log and rules print the same lines each time.
    """
    now_ms = SystemClock().now_ms()
    wish = Wish(tuple(stream), place(start, now_ms, "--from"), place(stop, now_ms, "--to"))
    if diff or against:
        from gateway.cli.rule_diffs import DiffWish, print_difference

        tolerance_ms = parse_duration_ms(tolerance)
        if tolerance_ms is None:
            fail(f"--tolerance {tolerance!r} is not a duration; write 30s, 5m, 1h", BAD_USAGE)
        old = load_rules(against) if against else None
        asyncio.run(
            print_difference(
                data, DiffWish(wish, load_rules(rules), old, tolerance_ms), as_json=json
            )
        )
        return
    printer = Printer(json_line if json else text_line)
    loaded = load_rules(rules)
    decoder_of = load_profiles(profiles).decoder_of if profiles else None
    engine = Engine(loaded.rules, loaded.inventories, decoder_of)
    loopback = Loopback(engine, loaded.derived_streams_read)
    asyncio.run(_replay(data, Cast(engine, loopback, loaded), wish, printer))
    if not json:
        for line in printer.summary(engine.counters):
            print(line)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which stretch of which streams is replayed."""

    streams: tuple[str, ...]
    start: Place
    stop: Place


class Printer:
    """Prints transitions as they come, and counts."""

    def __init__(self, show: Callable[[Transition], str]) -> None:
        self._show = show
        self._records = 0
        self._transitions: Counter[tuple[str, str]] = Counter()
        self._shows_progress = sys.stderr.isatty() and not sys.stdout.isatty()

    def take(self, batch: RecordBatch, outputs: Sequence[object]) -> None:
        """Print what a batch has caused."""
        if batch.stream != TICKS_STREAM:
            self._count_records(batch.count)
        for output in outputs:
            if isinstance(output, Transition):
                self._transitions[output.rule, output.event] += 1
                print(self._show(output))

    def summary(self, counters: Mapping[str, RuleCounters]) -> list[str]:
        """What came of it, for people, rule by rule."""
        lines = [f"{self._records} records replayed"]
        for rule, met in counters.items():
            steps = [
                f"{self._transitions[rule, event]} {event}"
                for event in ("raised", "changed", "cleared")
                if event != "changed" or self._transitions[rule, event]
            ]
            for count, what in ((met.late, "late"), (met.early, "early")):
                if count:
                    steps.append(f"{count} {what} {'event' if count == 1 else 'events'}")
            if met.cut_samples:
                steps.append(f"{met.cut_samples} samples beyond max_samples")
            lines.append(f"  {rule}: {', '.join(steps)}")
        return lines

    def _count_records(self, count: int) -> None:
        before, self._records = self._records, self._records + count
        if self._shows_progress and before // PROGRESS_RECORDS != self._records // PROGRESS_RECORDS:
            print(f"penstock: {self._records:,} records replayed", file=sys.stderr)


def json_line(transition: Transition) -> str:
    """The transition for programs; the first eight fields say what every reader needs."""
    fields = transition.as_mapping()
    first = ("rule", "key", "event", "time", "severity", "message", "partition", "offset")
    rest = ("n", "since", "reason", "stream", "id")
    return orjson.dumps({name: fields[name] for name in (*first, *rest)}).decode()


def text_line(transition: Transition) -> str:
    """The transition for people; nothing in it can move a terminal's cursor."""
    time = spell_time(transition.time_ms)
    line = (
        f"{time}  {transition.event:<7}  {transition.severity:<8}  {transition.rule}  "
        f"{transition.key}  {transition.message}"
    )
    return line if line.isprintable() else line.encode("unicode_escape").decode()


class Cast(NamedTuple):
    """The rules that are replayed, with their state, and what they emit for each other."""

    engine: Engine
    loopback: Loopback
    rules: RuleSet


async def _replay(data: Path, cast: Cast, wish: Wish, printer: Printer) -> None:
    reader = await open_reader(data)
    try:
        stretch = await find_stretch(reader, wish)
        await learn_devices(reader, cast.engine, cast.rules, stretch)
        async for batch in read(reader, stretch):
            printer.take(batch, cast.loopback.feed([batch]))
    finally:
        await reader.close()


async def learn_devices(
    reader: StreamReader, engine: Engine, rules: RuleSet, stretch: Stretch
) -> None:
    """Tell rules that read twins what held where their replay begins."""
    slot = TWINS_STREAM, 0
    if not rules.reads_devices or engine.facts.is_known or slot not in stretch.starts:
        return
    # The loops over the log are slow to import, and seldom wanted.
    from gateway.pipeline import facts_at

    engine.facts.begin(await facts_at(reader, stretch.starts[slot]))


class Stretch:
    """The offsets of a wish: those of its streams, of ticks, and of what people did."""

    def __init__(self, starts: dict[Key, int], stops: dict[Key, int], is_by_offset: bool) -> None:
        self.starts = starts
        self.stops = stops
        self.is_by_offset = is_by_offset
        self.streams = frozenset(stream for stream, _ in starts)

    def holds(self, stream: str, partition: int, offset: int) -> bool:
        """Whether a record lies in it."""
        key = (stream, partition)
        return key in self.starts and self.starts[key] <= offset < self.stops[key]


async def find_stretch(reader: StreamReader, wish: Wish) -> Stretch:
    """Where a wish begins and ends in each partition.

    Raises:
        UnknownStream: there is no such stream; says which there are.
    """
    partitions = await _partitions(reader, wish.streams)
    ticks = await _partitions(reader, OWN_STREAMS, required=False)
    # An offset says nothing about those: all of them count, up to the last event.
    is_by_offset = wish.start.kind == "offset", wish.stop.kind == "offset"
    tick_start = Place("earliest") if is_by_offset[0] else wish.start
    tick_stop = Place("latest") if is_by_offset[1] else wish.stop
    starts = await offsets_at(reader, partitions, wish.start)
    stops = await offsets_at(reader, partitions, wish.stop)
    starts |= await offsets_at(reader, ticks, tick_start)
    stops |= await offsets_at(reader, ticks, tick_stop)
    # What a look-up or a twin holds was written down once, perhaps long before.
    lookups = [key for key in ticks if key[0] in (LOOKUPS_STREAM, TWINS_STREAM)]
    starts |= await offsets_at(reader, lookups, Place("earliest"))
    return Stretch(starts, stops, is_by_offset[1])


async def read(reader: StreamReader, stretch: Stretch) -> AsyncIterator[RecordBatch]:
    """The batches of a stretch, in the order of their commits.

    With them come the ticks, and what people did about alarms.
    """
    scan = Scan(reader, stretch.starts, stretch.stops)
    held: list[RecordBatch] = []
    async for batch in scan.batches():
        if batch.stream in OWN_STREAMS and stretch.is_by_offset:
            held.append(batch)
            continue
        for tick in held:
            yield tick
        held.clear()
        yield batch
    for gap in scan.gaps:
        print(
            f"penstock: {gap.stream}/{gap.partition}: "
            f"offsets {gap.start_offset} to {gap.stop_offset - 1} are {gap.cause}",
            file=sys.stderr,
        )


async def _partitions(
    reader: StreamReader, streams: Sequence[str], *, required: bool = True
) -> list[Key]:
    specs = {spec.name: spec for spec in await reader.streams()}
    found = []
    for stream in streams:
        spec = specs.get(stream)
        if spec is not None:
            found += [(stream, partition) for partition in range(spec.partitions)]
        elif required:
            guess = did_you_mean(stream, specs) or ";"
            known = ", ".join(specs) or "none"
            raise UnknownStream(f"no stream {stream!r}{guess} there are: {known}")
    return found


def place(text: str, now_ms: int, option: str) -> Place:
    """The place that an option names; ends the command where it is none."""
    found = parse_place(text, now_ms)
    if found is None:
        fail(f"{option} {text!r} is no place in the log; use {PLACES}", BAD_USAGE)
    return found
