"""Runs and table changes as they travel between the writer of a log and its workers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.events import Origin, Run
from gateway.store.protocol import Put


def rows_of_runs(runs: Iterable[Run]) -> list[tuple[Any, ...]]:
    """Runs as MessagePack takes them."""
    return [
        (
            run.stream,
            run.partition,
            run.client,
            run.arrival_ms,
            run.origins,
            run.payloads,
            run.flags,
            run.properties,
        )
        for run in runs
    ]


def runs_of_rows(rows: Iterable[Any]) -> list[Run]:
    """Read back what `rows_of_runs` made.

    Raises:
        TypeError: it isn't that.
        ValueError: likewise.
    """
    return [
        Run(stream, partition, client, arrival_ms, [Origin(*one) for one in origins], *columns)
        for stream, partition, client, arrival_ms, origins, *columns in rows
    ]


def puts_of_rows(rows: Iterable[Any]) -> list[Put]:
    """Read back table changes, which travel as they are.

    Raises:
        TypeError: it isn't that.
    """
    return [Put(*row) for row in rows]
