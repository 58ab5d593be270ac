"""How well anomalies are found: the Numenta Anomaly Benchmark, as far as it is at hand.

One setting for all series. The series are read from a directory: either a checkout of the benchmark
(`data/` and `labels/combined_windows.json`), or files beside a `windows.json` of the same form. The
figures are about the series that are there, and the report says how many are not.
"""

from __future__ import annotations

import csv
import json
import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from benchmarks.nab_scoring import PROFILES, Labels, Tally, scaled, tally
from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from gateway.errors import PenstockError
from gateway.events import Origin, RecordBatch, Run
from gateway.rules import Engine, Transition, parse_rules

CORPUS = Path(__file__).parent.parent.parent / "shared" / "data" / "nab"
CORPUS_SERIES = 58
STANDARD_MIN = 52.0
RULES = """
version: 1
rules:
  - id: unlike
    from: nab/#
    key: device
    time: {by: event, field: payload.ts}
    anomaly: {value: payload.value, method: METHOD, history: 4000, sensitivity: 3.0, warmup: 200}
"""
METHOD = "level_shift"


class Series(NamedTuple):
    """One labelled series: epoch milliseconds and value of each row."""

    name: str
    rows: Sequence[tuple[int, float]]
    labels: Labels


def run(plan: Plan) -> Report:
    """Feed every series to the rule engine, and weigh where its alarm rises."""
    corpus = read_corpus(plan.corpus or CORPUS)
    started = time.process_time()
    raised = {series.name: detections(series, METHOD) for series in corpus}
    spent_s = time.process_time() - started
    return build_report(corpus, raised, spent_s)


def read_corpus(directory: Path) -> list[Series]:
    """Every series that has labels and is there, by name.

    Raises:
        PenstockError: the directory has no labels, or none of the series.
    """
    places = (directory / "labels" / "combined_windows.json", directory / "windows.json")
    labels = next((place for place in places if place.exists()), None)
    if labels is None:
        raise PenstockError(f"no labels of the benchmark in {directory}; name it with --corpus")
    found = []
    for name, spans in sorted(json.loads(labels.read_text()).items()):
        files = (directory / "data" / name, directory / name, directory / Path(name).name)
        path = next((file for file in files if file.exists()), None)
        if path is not None:
            found.append(read_series(name, path, spans))
    if not found:
        raise PenstockError(f"{labels} names no series that is there")
    return found


def read_series(name: str, path: Path, spans: Sequence[Sequence[str]]) -> Series:
    """One file, its windows as rows."""
    with path.open(newline="") as file:
        rows = [(epoch_ms(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    times = [time_ms for time_ms, _ in rows]
    windows = [
        (bisect_left(times, epoch_ms(first)), bisect_right(times, epoch_ms(last)) - 1)
        for first, last in spans
    ]
    return Series(name, rows, Labels(len(rows), windows))


def epoch_ms(text: str) -> int:
    """A time of the benchmark, which are without zone."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def detections(series: Series, method: str) -> list[int]:
    """The rows at which a running rule raises its alarm."""
    engine = Engine(parse_rules(RULES.replace("METHOD", method)).rules)
    outputs = engine.feed(batches(series.rows))
    return [
        output.cause.offset
        for output in outputs
        if isinstance(output, Transition) and output.event == "raised"
    ]


def batches(rows: Sequence[tuple[int, float]]) -> list[RecordBatch]:
    """The rows as the log would hand them out, one commit each."""
    origin = Origin("nab/series", "series")
    found = []
    for offset, (time_ms, value) in enumerate(rows):
        payload = orjson.dumps({"ts": time_ms, "value": value})
        record = Run("telemetry", 0, "c", time_ms, [origin], [payload], bytes(1))
        found.append(RecordBatch("telemetry", 0, offset, offset + 1, [record]))
    return found


def build_report(
    corpus: Sequence[Series], raised: Mapping[str, Sequence[int]], spent_s: float
) -> Report:
    """The score of each profile, and what was found in each series."""
    rows = sum(len(series.rows) for series in corpus)
    totals = {
        profile.name: sum(
            (tally(series.labels, raised[series.name], profile) for series in corpus), Tally()
        )
        for profile in PROFILES
    }
    scores = {profile.name: scaled(totals[profile.name], profile) for profile in PROFILES}
    extent = f"{len(corpus)} of {CORPUS_SERIES} series"
    return Report(
        "nab",
        f"{METHOD}, one setting; {extent}, {rows:,} values; {rows / spent_s:,.0f} values/s",
        ("profile", "score", "windows found", "false alarms"),
        rows=[
            (name, f"{scores[name]:.1f}", f"{own.found} of {own.windows}", str(own.false))
            for name, own in totals.items()
        ],
        targets=[
            Target(
                f"standard profile: >= {STANDARD_MIN:g} ({extent})",
                f"{scores['standard']:.1f}",
                scores["standard"] >= STANDARD_MIN,
            )
        ],
        notes=notes_on(len(corpus)),
        figures={"scores": scores, "series": [series.name for series in corpus], "raised": raised},
    )


def notes_on(series: int) -> list[str]:
    """What the figures don't say."""
    if series >= CORPUS_SERIES:
        return []
    return [
        f"The benchmark has {CORPUS_SERIES} series. These figures are about {series} of them, and "
        "say nothing of the others; --corpus names a directory that has them all."
    ]
