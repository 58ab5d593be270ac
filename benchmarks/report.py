"""A benchmark's result: a table, what was wanted, whether it was reached."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import Machine

RESULTS = Path(__file__).parent / "results"


class Target(NamedTuple):
    """What an issue demands of a figure, beside the figure."""

    what: str
    measured: str
    is_met: bool

    @property
    def verdict(self) -> str:
        return "met" if self.is_met else "NOT MET"


@dataclass(slots=True)
class Report:
    """One scenario's figures; `figures` are the numbers behind the rows, for the JSON file."""

    scenario: str
    settings: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{self.scenario}: {self.settings}", format_table(self.columns, self.rows)]
        if self.targets:
            parts.append(
                format_table(("target", "measured", "verdict"), verdict_rows(self.targets))
            )
        return "\n\n".join([*parts, *self.notes])


def verdict_rows(targets: Sequence[Target]) -> list[Sequence[str]]:
    """The rows of the table of targets."""
    return [(target.what, target.measured, target.verdict) for target in targets]


def format_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text columns, the first to the left and the others to the right."""
    lines = [columns, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def write_json(report: Report, machine: Machine) -> Path:
    """Keep the figures under benchmarks/results, one file a run; returns its path."""
    now = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{report.scenario}-{now:%Y%m%dT%H%M%SZ}.json"
    content = {
        "scenario": report.scenario,
        "measured_at": now.isoformat(timespec="seconds"),
        "machine": asdict(machine),
        "settings": report.settings,
        "figures": report.figures,
        "targets": [{**target._asdict(), "verdict": target.verdict} for target in report.targets],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path
