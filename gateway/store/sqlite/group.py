"""A consumer group in the file: its generation, its committed offsets, and who may move them.

One member at a time holds every partition; whoever joins last has them, and fences the one before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from gateway.errors import MemberFenced, OffsetOutOfRange
from gateway.events import Run
from gateway.store.cursors import Key
from gateway.store.protocol import Appended, Put
from gateway.store.sqlite.catalog import Catalog
from gateway.store.sqlite.committer import Committer
from gateway.store.sqlite.drafts import Statement
from gateway.store.sqlite.table import put_statements

GENERATION_SQL = """
    INSERT INTO groups VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET generation = max(generation, excluded.generation)
"""
OFFSET_SQL = """
    INSERT INTO group_offsets VALUES (?, ?, ?, ?)
    ON CONFLICT (group_name, stream, partition)
    DO UPDATE SET committed_offset = excluded.committed_offset
"""


class GroupFence:
    """The right of one generation of a group to its partitions."""

    def __init__(self, committer: Committer, group: str) -> None:
        self._committer = committer
        self._group = group
        generations = committer.catalog.generations
        self._generation = generations[group] = generations.get(group, 0) + 1

    def check(self) -> None:
        """Return while no other member has joined.

        Raises:
            MemberFenced: one has.
        """
        if self._committer.catalog.generations[self._group] != self._generation:
            raise MemberFenced(
                f"another member has joined the group {self._group!r} and holds its partitions"
            )

    def commit(
        self, outputs: Sequence[Run], state: Sequence[Put], offsets: Mapping[Key, int]
    ) -> asyncio.Future[Appended]:
        """Queue records, table changes and offsets for one commit.

        Raises:
            MemberFenced: another member has joined; nothing was queued.
            UnknownStream: a run or an offset names a partition that doesn't exist.
            OffsetOutOfRange: an offset is past the log end.
        """
        self.check()
        catalog = self._committer.catalog
        for run in outputs:
            catalog.partition(run.stream, run.partition)
        for key, offset in offsets.items():
            end_offset = catalog.partition(*key).log_end_offset
            if not 0 <= offset <= end_offset:
                raise OffsetOutOfRange(f"{key[0]}/{key[1]} ends at {end_offset}, not at {offset}")
        own = dict(offsets)
        statements = [*put_statements(state), *self._statements(own)] if own or state else ()
        return self._committer.submit(outputs, statements, partial(self._apply, own))

    def register(self) -> asyncio.Future[Appended]:
        """Queue the generation, so that it is never given out again."""
        return self._committer.submit((), self._statements({}))

    def _statements(self, offsets: Mapping[Key, int]) -> list[Statement]:
        statements: list[Statement] = [(GENERATION_SQL, [(self._group, self._generation)])]
        if offsets:
            rows = [(self._group, *key, offset) for key, offset in offsets.items()]
            statements.append((OFFSET_SQL, rows))
        return statements

    def _apply(self, offsets: Mapping[Key, int], catalog: Catalog) -> None:
        catalog.committed.setdefault(self._group, {}).update(offsets)
