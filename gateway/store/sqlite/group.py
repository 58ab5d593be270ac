"""A consumer group in the file: its generation, its committed offsets, and who may move them.

One member at a time holds every partition; whoever joins last has them, and fences the one before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

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
    INSERT INTO group_offsets (group_name, stream, partition, committed_offset, since_offset)
    VALUES (?1, ?2, ?3, ?4, ?4)
    ON CONFLICT (group_name, stream, partition) DO UPDATE SET
        committed_offset = excluded.committed_offset,
        passed = passed + max(excluded.committed_offset - committed_offset, 0),
        returned = returned + max(committed_offset - excluded.committed_offset, 0)
"""


FORGET_SQL = (
    "DELETE FROM group_offsets WHERE group_name = ?",
    "DELETE FROM groups WHERE name = ?",
)


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
        if self._committer.catalog.generations.get(self._group) != self._generation:
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
        content = GroupCommit(self._group, self._generation, outputs, state, dict(offsets))
        return submit(self._committer, content)

    def register(self) -> asyncio.Future[Appended]:
        """Queue the generation, so that it is never given out again."""
        return self._committer.submit((), offset_statements(self._group, self._generation, {}))


class GroupCommit(NamedTuple):
    """What a group wants in one commit."""

    group: str
    generation: int
    outputs: Sequence[Run]
    state: Sequence[Put]
    offsets: dict[Key, int]


def submit(committer: Committer, content: GroupCommit) -> asyncio.Future[Appended]:
    """Queue what a group commits; who may is checked.

    Raises:
        UnknownStream: a run or an offset names a partition that doesn't exist.
        OffsetOutOfRange: an offset is past the log end.
    """
    catalog = committer.catalog
    for run in content.outputs:
        catalog.partition(run.stream, run.partition)
    for key, offset in content.offsets.items():
        end_offset = catalog.partition(*key).log_end_offset
        if not 0 <= offset <= end_offset:
            raise OffsetOutOfRange(f"{key[0]}/{key[1]} ends at {end_offset}, not at {offset}")
    statements: list[Statement] = []
    if content.offsets or content.state:
        statements = put_statements(content.state)
        statements += offset_statements(content.group, content.generation, content.offsets)
    # Offsets alone are in no hurry: they share the next commit, whatever the pacing makes of it.
    is_urgent = bool(content.outputs or content.state)
    return committer.submit(
        content.outputs, statements, partial(apply_commit, content), is_urgent=is_urgent
    )


def offset_statements(group: str, generation: int, offsets: Mapping[Key, int]) -> list[Statement]:
    """The changes that keep a group's generation and offsets."""
    statements: list[Statement] = [(GENERATION_SQL, [(group, generation)])]
    if offsets:
        rows = [(group, *key, offset) for key, offset in offsets.items()]
        statements.append((OFFSET_SQL, rows))
    return statements


def apply_commit(content: GroupCommit, catalog: Catalog) -> None:
    """Tell the catalog what a group has committed."""
    catalog.committed.setdefault(content.group, {}).update(content.offsets)
    known = catalog.generations.get(content.group, 0)
    catalog.generations[content.group] = max(known, content.generation)


def forget(committer: Committer, group: str) -> asyncio.Future[Appended]:
    """Queue the removal of a group."""
    statements: list[Statement] = [(sql, [(group,)]) for sql in FORGET_SQL]
    return committer.submit((), statements, partial(apply_removal, group))


def apply_removal(group: str, catalog: Catalog) -> None:
    """Tell the catalog that a group is gone."""
    catalog.generations.pop(group, None)
    catalog.committed.pop(group, None)
