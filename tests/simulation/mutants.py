"""Stores with a defect put in on purpose: what the simulation must find, or it is worth nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from gateway.events import Run
from gateway.store import Appended, Put
from tests.simulation.disk import DiskStore


class AckBeforeCommit(DiskStore):
    """Says that records are durable while they are still on their way to the disk."""

    def _begin(self) -> None:
        super()._begin()
        for request in self._under_way:
            if request.runs and not request.future.done():
                ends = [self._log(run.stream, run.partition).end_offset for run in request.runs]
                request.future.set_result(Appended(self.recent.last_commit_no + 1, ends))

    def _land(self) -> None:
        waiting = [
            request._replace(future=self._loop.create_future()) for request in self._under_way
        ]
        told, self._under_way = self._under_way, waiting
        super()._land()
        self._under_way = told


class OffsetReused(DiskStore):
    """Forgets, when it starts, that the last batch of a partition was there."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)  # type: ignore[arg-type]
        for log in self._logs.values():
            if log.batches:
                log.end_offset = log.batches[-1].base_offset


class CursorCommittedEarly(DiskStore):
    """Moves a group's offsets before the outputs and the state that belong to them."""

    def submit(
        self,
        runs: Sequence[Run],
        puts: Sequence[Put],
        group: str,
        offsets: Mapping[tuple[str, int], int],
    ) -> asyncio.Future[Appended]:
        self._committed.setdefault(group, {}).update(offsets)
        return super().submit(runs, puts, group, {})


MUTANTS: dict[str, type[DiskStore]] = {
    "ack-before-commit": AckBeforeCommit,
    "offset-reused": OffsetReused,
    "cursor-committed-early": CursorCommittedEarly,
}
