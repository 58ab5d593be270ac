"""A commit before it is written: what each request adds to which partition, and as which rows.

Everything here is arithmetic on the catalog; `gateway.store.sqlite.committer` writes and waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.events import RecordBatch, Run
from gateway.store.batch_format import pack
from gateway.store.cursors import Key
from gateway.store.protocol import Appended, Volume
from gateway.store.sqlite.catalog import Catalog, PartitionState
from gateway.store.sqlite.rows import BatchRow, checksum_of
from gateway.store.sqlite.schema import FENCE_SPAN, batch_id

Statement = tuple[str, Sequence[Sequence[Any]]]
"""SQL that changes a table other than `batches`, and the rows of parameters to run it with."""


def apply_nothing(catalog: Catalog) -> None:
    """The change of a request that the catalog need not know of."""


@dataclass(slots=True, eq=False)
class Request:
    """What one call wants to be durable, all or none of it, and who waits for that.

    `apply` tells the catalog what the statements have changed, once they are durable.
    """

    runs: Sequence[Run]
    statements: Sequence[Statement]
    apply: Callable[[Catalog], None]
    size_bytes: int
    future: asyncio.Future[Appended]
    base_offsets: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class PartitionDraft:
    """What a commit adds to one partition."""

    state: PartitionState
    next_offset: int
    last_ms: int
    runs: list[Run] = field(default_factory=list)


class CommitDraft:
    """Several requests laid together, partitions in merge order."""

    def __init__(self, catalog: Catalog, requests: Sequence[Request]) -> None:
        self.commit_no = catalog.commit_no + 1
        self.statements = [statement for request in requests for statement in request.statements]
        drafts: dict[Key, PartitionDraft] = {}
        for request in requests:
            request.base_offsets = [lay(run, catalog, drafts) for run in request.runs]
        partitions = [drafts[key] for key in sorted(drafts) if drafts[key].runs]
        self._partitions = [own for own in partitions if not own.state.is_volatile]
        self.volatile = [own for own in partitions if own.state.is_volatile]
        self.held: list[RecordBatch] = []
        """Once it is settled, its batches that have no row."""

    @property
    def has_rows(self) -> bool:
        """Whether it adds records, so that the file will hold its number."""
        return bool(self._partitions)

    @property
    def is_synced(self) -> bool:
        """Whether anything in it must outlast a power cut."""
        return bool(self.statements) or any(own.state.is_synced for own in self._partitions)

    def volume(self) -> Volume:
        """How much it adds."""
        runs = [run for own in (*self._partitions, *self.volatile) for run in own.runs]
        return Volume(sum(map(len, runs)), sum(sum(map(len, run.payloads)) for run in runs))

    def pack(self) -> list[bytes]:
        """The columns of each partition, to be compressed."""
        return [pack(own.runs) for own in self._partitions]

    def rows(self, bodies: Iterable[bytes]) -> list[BatchRow]:
        """The rows to insert, given what `pack` returned, compressed."""
        return [
            draw_row(own, batch_id(self.commit_no, place), body)
            for place, (own, body) in enumerate(zip(self._partitions, bodies, strict=True))
        ]

    def settle(self, catalog: Catalog, rows: Sequence[BatchRow]) -> list[RecordBatch]:
        """Move the catalog behind this commit, which is durable now; return its batches."""
        catalog.commit_no = self.commit_no
        self._settle_volatile()
        batches = self.held[:]
        for own, row in zip(self._partitions, rows, strict=True):
            state = own.state
            batches.append(
                RecordBatch(
                    state.stream, state.partition, state.log_end_offset, self.commit_no, own.runs
                )
            )
            state.log_end_offset = own.next_offset
            state.last_ms = own.last_ms
            state.log_bytes = row.log_bytes
            if row.is_fence:
                state.fence_id = row.id
        if self.volatile:
            batches.sort(key=lambda batch: (batch.stream, batch.partition))
        return batches

    def _settle_volatile(self) -> None:
        """Move those partitions behind this commit that have no row in it."""
        for own in self.volatile:
            state = own.state
            self.held.append(
                RecordBatch(
                    state.stream, state.partition, state.log_end_offset, self.commit_no, own.runs
                )
            )
            state.log_end_offset = own.next_offset
            state.last_ms = own.last_ms


def lay(run: Run, catalog: Catalog, drafts: dict[Key, PartitionDraft]) -> int:
    """Put a run behind everything that its partition has; return its base offset."""
    key = (run.stream, run.partition)
    draft = drafts.get(key)
    if draft is None:
        state = catalog.partition(*key)
        draft = drafts[key] = PartitionDraft(state, state.log_end_offset, state.last_ms)
    base_offset = draft.next_offset
    if run.payloads:
        # Arrival never runs backwards within a partition, whatever the wall clock does.
        if run.arrival_ms < draft.last_ms:
            run.arrival_ms = draft.last_ms
        draft.last_ms = run.arrival_ms
        draft.next_offset += len(run.payloads)
        draft.runs.append(run)
    return base_offset


def draw_row(own: PartitionDraft, identity: int, body: bytes) -> BatchRow:
    """The row that keeps a partition's part of a commit."""
    state = own.state
    is_fence = state.fence_id is None or identity >= state.fence_id + FENCE_SPAN
    columns = (
        identity,
        state.number,
        state.log_end_offset,
        own.next_offset - state.log_end_offset,
        own.runs[0].arrival_ms,
        own.last_ms,
        sum(sum(map(len, run.payloads)) for run in own.runs),
        state.log_bytes + len(body),
    )
    return BatchRow(*columns, is_fence, checksum_of(columns, body), body)
