"""How things are shown: a live table on a terminal, plain lines elsewhere, or JSON lines."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import orjson
import typer

from firmware_sim.account import Verdict
from firmware_sim.fleet import Progress
from firmware_sim.replay import ReplayProgress

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

Pairs = Sequence[tuple[str, str]]


class Report(Protocol):
    """Where a command shows what it does."""

    is_live: bool
    """Whether what is shown replaces what was shown before."""

    def __enter__(self) -> Report: ...
    def __exit__(self, *_: object) -> None: ...

    def show(self, title: str, pairs: Pairs, values: Mapping[str, Any]) -> None:
        """Show where things stand: as pairs for a person, as values for a program."""
        ...

    def tell(self, line: str, values: Mapping[str, Any]) -> None:
        """Say that something happened."""
        ...

    def conclude(self, title: str, pairs: Pairs, values: Mapping[str, Any]) -> None:
        """Show the result, last of all."""
        ...


def choose_report(*, as_json: bool, plain_every: int = 1) -> Report:
    """The report that fits: JSON if it is wanted, a live table on a terminal, else plain lines.

    Of what is shown, plain lines have every `plain_every`-th only.
    """
    if as_json:
        return JsonReport()
    return LiveReport() if sys.stdout.isatty() else PlainReport(plain_every)


class JsonReport:
    """One JSON object a line, each with its `type`."""

    is_live = False

    def __enter__(self) -> JsonReport:
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()

    def show(self, title: str, pairs: Pairs, values: Mapping[str, Any]) -> None:
        self._write("progress", values)

    def tell(self, line: str, values: Mapping[str, Any]) -> None:
        self._write("event", values)

    def conclude(self, title: str, pairs: Pairs, values: Mapping[str, Any]) -> None:
        self._write("summary", values)

    @staticmethod
    def _write(kind: str, values: Mapping[str, Any]) -> None:
        typer.echo(orjson.dumps({"type": kind, **values}).decode())


class PlainReport:
    """One line for each thing, without colour or cursor movement."""

    is_live = False

    def __init__(self, every: int = 1) -> None:
        self._every = every
        self._shown = 0

    def __enter__(self) -> PlainReport:
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()

    def show(self, title: str, pairs: Pairs, values: Mapping[str, Any]) -> None:
        self._shown += 1
        if self._shown % self._every == 0:
            typer.echo(f"{title}: " + ", ".join(f"{name} {value}" for name, value in pairs))

    def tell(self, line: str, values: Mapping[str, Any]) -> None:
        typer.echo(line)

    def conclude(self, title: str, pairs: Pairs, values: Mapping[str, Any]) -> None:
        typer.echo(f"\n{title}")
        width = max((len(name) for name, _ in pairs), default=0)
        for name, value in pairs:
            typer.echo(f"  {name.ljust(width)}  {value}")


class LiveReport:
    """A table that is drawn again and again in place; what is told stays above it."""

    is_live = True

    def __init__(self) -> None:
        # Loaded only here: a gateway that prints nothing must not pay for it.
        from rich.console import Console
        from rich.live import Live

        self._console = Console()
        self._live: Live = Live(console=self._console, refresh_per_second=8)

    def __enter__(self) -> LiveReport:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, title: str, pairs: Pairs, values: Mapping[str, Any]) -> None:
        self._live.update(_table(title, pairs))

    def tell(self, line: str, values: Mapping[str, Any]) -> None:
        self._console.print(line, markup=False, highlight=False)

    def conclude(self, title: str, pairs: Pairs, values: Mapping[str, Any]) -> None:
        self._live.update(_table(title, pairs), refresh=True)


def _table(title: str, pairs: Pairs) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    for name, value in pairs:
        table.add_row(Text(name), Text(value))
    return table


def count(number: int) -> str:
    """A whole number as a person reads it."""
    return f"{number:,}"


def progress_pairs(progress: Progress) -> Pairs:
    """What a person wants to see of a fleet that runs."""
    seconds = max(1, progress.elapsed_ms) / 1_000
    pairs = [
        ("connected", _connected(progress)),
        ("published", f"{count(progress.published)} ({round(progress.published / seconds):,}/s)"),
        ("acknowledged", count(progress.acknowledged)),
        ("in flight", count(progress.in_flight)),
        ("buffered", count(progress.buffered)),
        ("sent again", count(progress.repeats)),
        ("reconnects", count(progress.reconnects)),
        ("ack p50/p99/max", _latency(progress)),
    ]
    if progress.overflowed:
        pairs.append(("buffer overflows", count(progress.overflowed)))
    if progress.refused or progress.refusals:
        pairs.append(
            ("refused", f"{count(progress.refusals)} connects, {count(progress.refused)} readings")
        )
    if progress.faults:
        faults = ", ".join(f"{name} {number}" for name, number in progress.faults.items())
        pairs.append(("faults", faults))
    if progress.services:
        pairs.append(("services", _services(progress.services)))
    return pairs


def _services(services: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {count(number)}" for name, number in services.items()
    )


def _connected(progress: Progress) -> str:
    others = "".join(f", {count(number)} {name}" for name, number in progress.phases.items())
    return f"{count(progress.connected)} of {count(progress.devices)}{others}"


def verdict_pairs(verdict: Verdict) -> Pairs:
    """What a person wants to know of a settled account."""
    pairs = [
        ("readings taken", count(verdict.taken)),
        ("acknowledged", count(verdict.acknowledged)),
        ("stored once", count(verdict.stored_once)),
        ("stored again", f"{count(verdict.stored_again)} (sent twice, as QoS 1 allows)"),
        ("acknowledged and missing", count(verdict.missing)),
        ("sent, never acknowledged", count(verdict.unacknowledged)),
        ("stored, not acknowledged", count(verdict.stored_unacknowledged)),
        ("never sent", count(verdict.buffered)),
    ]
    extra = (
        ("refused by the server", verdict.refused),
        ("given up by full buffers", verdict.overflowed),
        ("taken by no device", verdict.strangers),
        ("out of their device's order", verdict.disordered),
        ("commands obeyed", verdict.commands),
        ("commands obeyed twice", verdict.commands_repeated),
        ("delivered to another device", verdict.misdelivered),
    )
    return pairs + [(name, count(number)) for name, number in extra if number]


def outcome_of(verdict: Verdict) -> str:
    """The verdict in a few words; capitals when a promise was broken."""
    if verdict.missing:
        return "ACKNOWLEDGED READINGS ARE GONE"
    if verdict.commands_repeated:
        return "COMMANDS WERE OBEYED TWICE"
    return "MESSAGES WENT ASTRAY" if verdict.misdelivered else "nothing acknowledged is missing"


def replay_pairs(progress: ReplayProgress) -> Pairs:
    """What a person wants to see of a replay."""
    pairs = [
        ("rows", f"{count(progress.published)} of {count(progress.rows)}"),
        ("rows a second", count(progress.rows_per_s)),
        ("acknowledged", count(progress.acknowledged)),
        ("sent again", count(progress.repeats)),
        ("reconnects", count(progress.reconnects)),
        ("ack p50/p99/max", _latency(progress)),
    ]
    if progress.refused:
        pairs.append(("refused", count(progress.refused)))
    return pairs


def _latency(progress: Progress | ReplayProgress) -> str:
    return (
        f"{progress.latency_ms_p50}/{progress.latency_ms_p99}/{progress.latency_ms_max} ms"
        if progress.acknowledged
        else "-"
    )


def values_of(progress: Progress | ReplayProgress | Verdict) -> dict[str, Any]:
    """The same as values, by field name."""
    return dataclasses.asdict(progress)
