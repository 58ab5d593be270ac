"""How fast the rule engine is: JSON decoding included, one core, the log left out."""

from __future__ import annotations

import json
import random
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from gateway.events import Origin, RecordBatch, Run
from gateway.rules import Engine, cost_of, parse_rules

RECORDS_A_RUN = 20
RECORDS_A_BATCH = 500
EVENTS_A_SECOND_EXPECTED = 100_000
START_MS = 1_700_000_000_000
DEFAULTS = """
version: 1
defaults:
  from: telemetry/#
  key: device
  time: {by: event, field: payload.ts}
rules:
"""
FIELDS = ("temperature", "humidity", "pressure", "vibration")
KEYS = 10_000
MIB = 1 << 20


class Case(NamedTuple):
    """One kind of work: rules, devices that send once a second, and the rate that is asked for."""

    name: str
    rules: str
    devices: int
    rate_min: int


def thresholds(count: int) -> str:
    """Rules that each compare one or two fields with constants."""
    lines = []
    for number in range(count):
        field, other = FIELDS[number % 4], FIELDS[(number + 1) % 4]
        when = f"payload.{field} > {94 + number / 4}"
        if number % 3 == 0:
            when += f" && payload.{other} > 20"
        lines.append(f"  - {{id: t{number}, when: {when}}}")
    return "\n".join(lines)


SLIDING = """
  - id: average
    window: {sliding: 5m}
    aggregate: {avg: avg(payload.temperature)}
    when: avg > 80
    clear: avg < 75
"""
SEQUENCE = """
  - id: rise
    sequence:
      within: 1m
      steps:
        - {id: low, when: payload.temperature < 50}
        - {id: high, when: payload.temperature > 50}
"""
MIXED = """
  - {id: hot, when: payload.temperature > 95}
  - {id: damp, when: payload.humidity > 90, for: 10s, clear: payload.humidity < 80}
  - {id: shaken, when: payload.vibration > 90 && payload.pressure < 40}
  - id: average
    window: {sliding: 1m}
    aggregate: {avg: avg(payload.temperature)}
    when: avg > 80
  - id: minute
    window: {tumbling: 1m}
    aggregate: {top: max(payload.pressure), n: count()}
    when: top > 95 && n > 10
"""
CASES = (
    Case("20 threshold rules, 200 devices", thresholds(20), 200, 200_000),
    Case("5-minute sliding average, 1,000 devices", SLIDING, 1_000, 250_000),
    Case("two-step sequence, 1,000 devices", SEQUENCE, 1_000, 150_000),
    Case("5 mixed rules (a back-test), 1,000 devices", MIXED, 1_000, 10_000_000 // 60),
)


class Figures(NamedTuple):
    """What one case came to in one round."""

    rate: float
    us_an_event: float
    outputs: int


def run(plan: Plan) -> Report:
    """Feed made-up telemetry to each set of rules; then many keys, for the memory they take."""
    events = int(plan.load.measured_s * EVENTS_A_SECOND_EXPECTED)
    # First, while the process holds nothing that it could use again.
    growth_bytes = measure_memory(plan.load.seed)
    rounds: dict[str, list[Figures]] = {case.name: [] for case in CASES}
    for round_no in range(plan.rounds):
        print(f"  round {round_no + 1} of {plan.rounds} ...", flush=True)
        for case in CASES:
            rounds[case.name].append(measure(case, events, plan.load.seed))
    return build_report(rounds, events, growth_bytes)


def measure(case: Case, events: int, seed: int) -> Figures:
    """Time one case, its windows filled first."""
    engine = Engine(parse_rules(DEFAULTS + case.rules).rules)
    source = Telemetry(case.devices, seed)
    engine.feed(source.batches(min(events, case.devices * 320)))
    spent_s, outputs, left = 0.0, 0, events
    while left > 0:
        batches = source.batches(min(left, 50_000))
        started = time.process_time()
        outputs += len(engine.feed(batches))
        spent_s += time.process_time() - started
        left -= 50_000
    return Figures(events / spent_s, spent_s / events * 1e6, outputs)


class Telemetry:
    """Readings of many devices, once a second each, as the log would hand them out."""

    def __init__(self, devices: int, seed: int) -> None:
        self._rng = random.Random(seed)
        self._origins = [Origin(f"telemetry/d{n}/state", f"d{n}") for n in range(devices)]
        self._levels = [self._rng.uniform(20, 80) for _ in range(devices)]
        self._sent = 0
        self._batches = 0

    def batches(self, count: int) -> list[RecordBatch]:
        """The next `count` readings."""
        found = []
        while count > 0:
            found.append(self._batch(min(count, RECORDS_A_BATCH)))
            count -= RECORDS_A_BATCH
        return found

    def _batch(self, count: int) -> RecordBatch:
        base_offset = self._sent
        runs = []
        while count > 0:
            runs.append(self._run(min(count, RECORDS_A_RUN)))
            count -= RECORDS_A_RUN
        self._batches += 1
        return RecordBatch("telemetry", 0, base_offset, self._batches, runs)

    def _run(self, count: int) -> Run:
        origins, payloads = [], []
        for _ in range(count):
            number = self._sent % len(self._origins)
            time_ms = START_MS + self._sent * 1_000 // len(self._origins)
            origins.append(self._origins[number])
            payloads.append(self._payload(number, time_ms))
            self._sent += 1
        return Run("telemetry", 0, "c", time_ms + 50, origins, payloads, bytes(count))

    def _payload(self, number: int, time_ms: int) -> bytes:
        rng = self._rng
        level = min(100.0, max(0.0, self._levels[number] + rng.uniform(-1, 1)))
        self._levels[number] = level
        fields = {name: round(level + rng.uniform(-1, 1), 3) for name in FIELDS}
        return json.dumps({"ts": time_ms, "seq": self._sent, **fields}).encode()


def measure_memory(seed: int) -> int:
    """Bytes by which the process grows for 20 rules and 10,000 keys, alarms up on some of them."""
    engine = Engine(parse_rules(DEFAULTS + thresholds(20)).rules)
    before_bytes = resident_bytes()
    source = Telemetry(KEYS, seed)
    engine.feed(source.batches(3 * KEYS))
    return resident_bytes() - before_bytes


def printed_bound_bytes() -> int:
    """What those rules may take at most, as it is told at load."""
    return sum(cost_of(rule).bytes_max for rule in parse_rules(DEFAULTS + thresholds(20)).rules)


def resident_bytes() -> int:
    """The memory that the process holds now."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - one line of the kernel's
        return int(statm.read().split()[1]) * resource.getpagesize()


def build_report(rounds: dict[str, list[Figures]], events: int, growth_bytes: int) -> Report:
    """The medians of all rounds, and the targets of issue 5."""
    middle = {name: median_of(figures) for name, figures in rounds.items()}
    return Report(
        "rules",
        f"{events:,} events of about 120 bytes of JSON, decoded; CPU time of one core; "
        f"medians of {len(next(iter(rounds.values())))}",
        ("work", "events/s", "us an event", "outputs"),
        rows=[
            (name, f"{own.rate:,.0f}", f"{own.us_an_event:.2f}", f"{own.outputs:,.0f}")
            for name, own in middle.items()
        ],
        targets=[
            *(
                Target(
                    f"{case.name}: >= {case.rate_min:,}/s",
                    f"{middle[case.name].rate:,.0f}/s",
                    middle[case.name].rate >= case.rate_min,
                )
                for case in CASES
            ),
            Target(
                "20 rules, 10,000 keys: <= 200 MiB",
                f"{growth_bytes / MIB:.0f} MiB",
                growth_bytes <= 200 * MIB,
            ),
            Target(
                "that growth is within what `rules check` prints",
                f"{printed_bound_bytes() / MIB:.0f} MiB",
                growth_bytes <= printed_bound_bytes(),
            ),
        ],
        figures={
            **{name: [one._asdict() for one in figures] for name, figures in rounds.items()},
            "growth_bytes": growth_bytes,
        },
    )


def median_of(figures: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    take: Callable[[Sequence[float]], float] = statistics.median
    columns = zip(*figures, strict=True)
    rate, us_an_event, outputs = (take(column) for column in columns)
    return Figures(rate, us_an_event, int(outputs))
