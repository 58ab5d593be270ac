"""The mean of each minute over 1,000 devices: the rule engine beside bytewax, on the same bytes.

bytewax comes with the extra `peers`; where it isn't installed, it is left out.
"""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.rules import DEFAULTS, START_MS, Telemetry
from gateway.events import RecordBatch
from gateway.rules import Derived, Engine, parse_rules

DEVICES = 1_000
EVENTS_MAX = 300_000
RATIO_MIN = 2.0
OWN, PEER = "penstock", "bytewax"
RULE = """
  - id: minute
    window: {tumbling: 1m}
    aggregate: {mean: avg(payload.temperature)}
    emit: {stream: minutes, on: window}
"""
Means = dict[tuple[str, int], float]
"""By device and the end of the window."""


def run(plan: Plan) -> Report:
    """Feed the same telemetry to each in turn; both must come to the same means."""
    events = min(EVENTS_MAX, int(plan.load.measured_s * 50_000))
    batches = Telemetry(DEVICES, plan.load.seed).batches(events)
    names = [OWN, PEER] if importlib.util.find_spec(PEER) is not None else [OWN]
    rates: dict[str, list[float]] = {name: [] for name in names}
    for round_no in range(plan.rounds):
        found: dict[str, Means] = {}
        for name in names:
            print(f"  round {round_no + 1} of {plan.rounds}: {name} ...", flush=True)
            found[name], spent_s = (own_means if name == OWN else peer_means)(batches)
            rates[name].append(events / spent_s)
        check_agreement(found)
    return build_report(rates, events)


def own_means(batches: list[RecordBatch]) -> tuple[Means, float]:
    """What a rule emits, and the CPU time that it took."""
    engine = Engine(parse_rules(DEFAULTS + RULE).rules)
    started = time.process_time()
    outputs = engine.feed(batches)
    spent_s = time.process_time() - started
    return {
        (output.key, output.time_ms): orjson.loads(output.payload)["mean"]
        for output in outputs
        if isinstance(output, Derived)
    }, spent_s


def peer_means(batches: list[RecordBatch]) -> tuple[Means, float]:
    """The same by a bytewax dataflow of one worker."""
    flow, sink = peer_flow(batches)
    testing = importlib.import_module("bytewax.testing")
    started = time.process_time()
    testing.run_main(flow)
    spent_s = time.process_time() - started
    return {
        (device, START_MS // 60_000 * 60_000 + (window + 1) * 60_000): total / count
        for device, (window, (total, count)) in sink
    }, spent_s


def peer_flow(batches: list[RecordBatch]) -> tuple[Any, list[Any]]:
    """The dataflow, and the list that it fills: (device, (window, (sum, count)))."""
    op = importlib.import_module("bytewax.operators")
    win = importlib.import_module("bytewax.operators.windowing")
    testing = importlib.import_module("bytewax.testing")
    dataflow = importlib.import_module("bytewax.dataflow")
    raw = [
        (origin.device, payload)
        for batch in batches
        for run in batch.runs
        for origin, payload in zip(run.origins, run.payloads, strict=True)
    ]
    sink: list[Any] = []
    flow = dataflow.Dataflow("minute")
    keyed = op.input("in", flow, testing.TestingSource(raw, batch_size=500))
    readings = op.map_value("decode", keyed, orjson.loads)
    clock = win.EventClock(
        lambda reading: datetime.fromtimestamp(reading["ts"] / 1_000, UTC),
        wait_for_system_duration=timedelta(0),
    )
    align_to = datetime.fromtimestamp(START_MS // 60_000 * 60, UTC)
    windower = win.TumblingWindower(length=timedelta(minutes=1), align_to=align_to)
    folded = win.fold_window(
        "mean", readings, clock, windower, lambda: (0.0, 0),
        lambda held, reading: (held[0] + reading["temperature"], held[1] + 1),
        lambda one, other: (one[0] + other[0], one[1] + other[1]),
    )  # fmt: skip
    op.output("out", folded.down, testing.TestingSink(sink))
    return flow, sink


def check_agreement(found: dict[str, Means]) -> None:
    """Whether all that both have told is the same; at the end a peer closes what is open."""
    means = found[OWN]
    for other in found.values():
        wrong = [key for key, mean in means.items() if abs(other[key] - mean) > 1e-6]
        if wrong:
            raise AssertionError(f"the means differ, for example of {wrong[0]}")


def build_report(rates: dict[str, list[float]], events: int) -> Report:
    """The median rates, and their ratio where there is a peer."""
    middle = {name: statistics.median(own) for name, own in rates.items()}
    report = Report(
        "windows",
        f"{events:,} events of {DEVICES:,} devices, mean of each minute; JSON decoded; CPU time",
        ("engine", "events/s"),
        rows=[(name, f"{rate:,.0f}") for name, rate in middle.items()],
        figures={"rates": rates},
    )
    if PEER in middle:
        ratio = middle[OWN] / middle[PEER]
        report.targets.append(
            Target(f">= {RATIO_MIN:g} x {PEER}", f"{ratio:.1f} x", ratio >= RATIO_MIN)
        )
    else:
        report.notes.append(f"{PEER} is not installed; 'pip install .[peers]' brings it.")
    return report
