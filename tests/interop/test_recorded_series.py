"""A real series, NAB's machine temperature, through the wire, the log and the rules."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.harness.gateway_process import GatewayProcess, run_penstock
from tests.harness.log_reader import assert_offsets_are_dense, read_log
from tests.harness.waiting import wait_for

SERIES = (
    Path(__file__).parents[3] / "shared" / "data" / "nab" / "machine_temperature_system_failure.csv"
)
RULES = Path(__file__).with_name("nab_rules.yaml")
TOPIC = "nab/machine/temperature"
HOUR_MS = 3_600_000
RAISED = {"reading-low": 55, "average-low": 23, "average-low-until-75": 18}
EVENTS = 22_695

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERIES.exists(), reason=f"the series is not at {SERIES}"),
]


def read_series() -> list[tuple[int, float]]:
    """(epoch milliseconds, value) of each row."""
    with SERIES.open(newline="") as file:
        return [
            (
                int(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp())
                * 1000,
                float(row["value"]),
            )
            for row in csv.DictReader(file)
        ]


def raises(values: list[float], clear_above: float) -> int:
    """How often a value falls below 65 for the first time since it was last above `clear_above`."""
    count, is_raised = 0, False
    for value in values:
        if not is_raised and value < 65:
            count, is_raised = count + 1, True
        elif is_raised and not value < 65 and value > clear_above:
            is_raised = False
    return count


def hourly_averages(series: list[tuple[int, float]]) -> list[float]:
    """By definition: at each reading, the average of the readings in (t - 1 h, t]."""
    averages = []
    for index, (time_ms, _) in enumerate(series):
        within = [
            value
            for at_ms, value in series[max(0, index - 100) : index + 1]
            if at_ms > time_ms - HOUR_MS
        ]
        averages.append(sum(within) / len(within))
    return averages


def test_the_expected_numbers_are_those_of_a_brute_force_twin():
    series = read_series()
    averages = hourly_averages(series)
    assert len(series) == EVENTS
    assert {
        "reading-low": raises([value for _, value in series], float("-inf")),
        "average-low": raises(averages, float("-inf")),
        "average-low-until-75": raises(averages, 75),
    } == RAISED


def raised_in(transitions: list[dict]) -> Counter[str]:
    return Counter(one["rule"] for one in transitions if one["event"] == "raised")


def replayed(data: Path) -> Counter[str]:
    done = run_penstock("rules", "replay", "--data", data, "--rules", RULES, "--json")
    assert done.returncode == 0, done.stderr
    return raised_in([json.loads(line) for line in done.stdout.splitlines()])


def test_the_series_raises_the_same_alarms_live_and_replayed(tmp_path):
    with GatewayProcess(tmp_path / "log", rules=RULES) as gateway:
        sent = run_penstock(
            "sim", "replay", SERIES, "--host", "127.0.0.1", "--port", str(gateway.port),
            "--topic", TOPIC, "--time-column", "timestamp", "--speed", "max",
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr

        log = read_log(gateway.data, "telemetry")
        assert_offsets_are_dense(log)
        assert [(event.payload["ts"], event.payload["value"]) for event in log] == read_series()

        assert replayed(gateway.data) == RAISED
        wait_for(
            lambda: raised_in([e.payload for e in read_log(gateway.data, "alerts")]) == RAISED,
            f"the alarms {RAISED}",
        )
        gateway.terminate()
    assert replayed(gateway.data) == RAISED
