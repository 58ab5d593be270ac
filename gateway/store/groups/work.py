"""Competing consumers: records leased singly, settled in any order, buried after too many tries.

What is out is `gateway.store.groups.leases`'; this reads the records and keeps the state durable:
a lease before it is given, so that a count survives whatever the record does to who gets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import orjson

from gateway.clock import Clock
from gateway.errors import GroupRefused, OffsetOutOfRange, UnknownStream
from gateway.events import Record, Run
from gateway.store.cursors import Key
from gateway.store.groups.choosing import LOOKED_AT_MAX, Wanted, pick
from gateway.store.groups.leases import Leases, Ticket
from gateway.store.groups.letters import DEAD_LETTERS, Failure, letter_puts, letter_run
from gateway.store.groups.membership import Seated
from gateway.store.groups.options import DELIVERIES_MAX, LEASE_MS, LEASE_MS_MAX, GroupOptions
from gateway.store.groups.register import (
    LEASES_TABLE,
    WORKING,
    GroupEntry,
    check_name,
    leases_key,
)
from gateway.store.protocol import Gap, Put, StreamStore

BURIED_AT_ONCE_MAX = 100


class WorkWish(NamedTuple):
    """What a worker wants to have; after `deliveries_max` deliveries a record is a dead letter."""

    group: str
    stream: str
    worker: str
    records_max: int = 1
    lease_ms: int = LEASE_MS
    deliveries_max: int = DELIVERIES_MAX
    start: str = "earliest"


class Leased(NamedTuple):
    """A record, and the right to settle it until its lease expires."""

    ticket: Ticket
    record: Record


class Grant(NamedTuple):
    """What a worker got, and what it can never get."""

    leased: Sequence[Leased]
    gaps: Sequence[Gap]


class Workbench(Protocol):
    """What a worker needs, wherever the desk is."""

    async def lease(self, wish: WorkWish) -> Grant:
        """Get records that nobody else has, those that were out before first; perhaps none.

        Raises:
            GroupRefused: the group can't be used so.
            UnknownStream: there is no such stream.
        """
        ...

    async def ack(self, group: str, worker: str, tickets: Sequence[Ticket]) -> Sequence[bool]:
        """Be done with records; False for each whose lease had expired, which changes nothing."""
        ...

    async def nack(self, group: str, worker: str, ticket: Ticket, back: GiveBack) -> bool:
        """Give a record back; False when its lease had expired, which changes nothing.

        The last of its deliveries makes it a dead letter, in the same commit.
        """
        ...

    async def extend(self, group: str, worker: str, ticket: Ticket, lease_ms: int) -> bool:
        """Have a record for so long from now on; False when its lease had expired."""
        ...


class GiveBack(NamedTuple):
    """Why a record is given back, and when it may be given out again.

    When `is_final`, it never is, and becomes a dead letter; `failed_by` and `tries` tell more of
    who failed and how often than the worker's name and the deliveries do.
    """

    cause: str
    delay_ms: int = 0
    is_final: bool = False
    failed_by: str = ""
    tries: int = 0


class Settlement(NamedTuple):
    """A record that is done with, and the records and table changes that come of it."""

    ticket: Ticket
    outputs: Sequence[Run] = ()
    state: Sequence[Put] = ()


class Registry(Protocol):
    """Where groups are registered."""

    options: GroupOptions

    async def enter(
        self, group: str, kind: str, streams: Sequence[str], start: str
    ) -> GroupEntry: ...

    def offsets(self, group: str) -> dict[Key, int]: ...


@dataclass(slots=True)
class Shift:
    """One group at work."""

    group: str
    stream: str
    leases: Leases
    turn: int = 0
    is_behind: bool = False
    saved: dict[Key, int] = field(default_factory=dict)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    def keys_in_turn(self) -> list[Key]:
        """The partitions, each time another one first, so that none starves."""
        keys = sorted(self.leases.next_offsets)
        self.turn = (self.turn + 1) % len(keys)
        return keys[self.turn :] + keys[: self.turn]


class Settled(NamedTuple):
    """Records that are to be settled in one commit, and the dead letters among them."""

    offsets: Mapping[Key, Sequence[int]]
    outputs: Sequence[Run] = ()
    state: Sequence[Put] = ()


class WorkDesk:
    """The workbench of a log that this process writes."""

    def __init__(self, store: StreamStore, clock: Clock, registry: Registry) -> None:
        self._store = store
        self._clock = clock
        self._registry = registry
        self._shifts: dict[str, Shift] = {}

    async def found(self, wish: WorkWish) -> None:
        """Let a group begin where it wishes to, before it leases anything; else it is as it was.

        Raises:
            StoreError: as `lease` says.
        """
        await self._shift(wish)

    async def lease(self, wish: WorkWish, wanted: Wanted | None = None) -> Grant:
        """Do as `Workbench.lease`; records that aren't `wanted` are stepped over.

        Then `is_behind` says whether there is more to be looked at.
        """
        check_name(wish.worker)
        shift = await self._shift(wish)
        async with shift.busy:
            shift.leases.deliveries_max = max(wish.deliveries_max, 1)
            until_ms = self._clock.monotonic_ms() + min(max(wish.lease_ms, 1), LEASE_MS_MAX)
            gaps: list[Gap] = []
            records = await self._again(shift, wish.records_max, gaps)
            left = wish.records_max - len(records)
            if wanted is None:
                records += await self._fresh(shift, left, gaps)
            else:
                records += await self._chosen(shift, left, gaps, wanted)
            leased = []
            for record in records:
                key = (record.stream, record.partition)
                ticket = shift.leases.grant(key, record.offset, wish.worker, until_ms)
                leased.append(Leased(ticket, record))
            if leased or gaps:
                keys = {own.ticket.key for own in leased} | {(gap[0], gap[1]) for gap in gaps}
                await self._keep(shift, Settled(dict.fromkeys(keys, ())))
            return Grant(leased, gaps)

    async def ack(self, group: str, worker: str, tickets: Sequence[Ticket]) -> Sequence[bool]:
        shift = self._shifts.get(group)
        if shift is None:
            return [False] * len(tickets)
        async with shift.busy:
            now_ms = self._clock.monotonic_ms()
            held = [shift.leases.holds(ticket, worker, now_ms) for ticket in tickets]
            offsets: dict[Key, list[int]] = {}
            for ticket, is_held in zip(tickets, held, strict=True):
                if is_held and ticket.offset not in offsets.setdefault(ticket.key, []):
                    offsets[ticket.key].append(ticket.offset)
            if any(held):
                await self._keep(shift, Settled(offsets))
            return held

    async def settle(
        self, group: str, worker: str, settlements: Sequence[Settlement]
    ) -> Sequence[bool]:
        """Be done with records and keep what comes of them, all in one commit.

        False for each whose lease had expired: nothing of it is kept.
        """
        shift = self._shifts.get(group)
        if shift is None:
            return [False] * len(settlements)
        async with shift.busy:
            now_ms = self._clock.monotonic_ms()
            held = [shift.leases.holds(one.ticket, worker, now_ms) for one in settlements]
            kept = [one for one, is_held in zip(settlements, held, strict=True) if is_held]
            offsets: dict[Key, list[int]] = {}
            for one in kept:
                offsets.setdefault(one.ticket.key, []).append(one.ticket.offset)
            outputs = [run for one in kept for run in one.outputs]
            state = [put for one in kept for put in one.state]
            if kept:
                await self._keep(shift, Settled(offsets, outputs, state))
            return held

    def is_behind(self, group: str) -> bool:
        """Whether the last lease with a choice stopped before the end of the log."""
        shift = self._shifts.get(group)
        return shift is not None and shift.is_behind

    async def rest(self, group: str) -> None:
        """Make durable how far a group is that has only stepped over records lately."""
        shift = self._shifts.get(group)
        if shift is None:
            return
        async with shift.busy:
            moved = [
                key
                for key, offset in shift.leases.next_offsets.items()
                if shift.saved.get(key) != offset
            ]
            if moved:
                await self._keep(shift, Settled(dict.fromkeys(moved, ())))

    async def nack(self, group: str, worker: str, ticket: Ticket, back: GiveBack) -> bool:
        shift = self._shifts.get(group)
        if shift is None:
            return False
        async with shift.busy:
            now_ms = self._clock.monotonic_ms()
            if not shift.leases.holds(ticket, worker, now_ms):
                return False
            if back.is_final or shift.leases.is_exhausted(ticket):
                await self._bury(shift, ticket, back)
            else:
                shift.leases.give_back(ticket, back.cause, now_ms + max(back.delay_ms, 0))
            return True

    async def extend(self, group: str, worker: str, ticket: Ticket, lease_ms: int) -> bool:
        shift = self._shifts.get(group)
        now_ms = self._clock.monotonic_ms()
        if shift is None or not shift.leases.holds(ticket, worker, now_ms):
            return False
        shift.leases.extend(ticket, now_ms + min(max(lease_ms, 1), LEASE_MS_MAX))
        return True

    def seats(self) -> list[tuple[str, list[Seated]]]:
        """The groups at work, each with who has records of it at present."""
        now_ms = self._clock.monotonic_ms()
        found = []
        for name, shift in sorted(self._shifts.items()):
            workers = sorted(shift.leases.workers(now_ms))
            if workers:
                seats = [
                    Seated(worker, is_named=True, is_present=True, held=()) for worker in workers
                ]
                found.append((name, seats))
        return found

    def is_busy(self, group: str) -> bool:
        """Whether records of the group are out at present."""
        shift = self._shifts.get(group)
        return shift is not None and bool(shift.leases.workers(self._clock.monotonic_ms()))

    def forget(self, entry: GroupEntry, keys: Iterable[Key]) -> list[tuple[str, str]]:
        """Let go of a group that isn't busy; the entries that are to be deleted."""
        self._shifts.pop(entry.name, None)
        if entry.kind != WORKING:
            return []
        return [(LEASES_TABLE, leases_key(entry.name, key)) for key in keys]

    async def _shift(self, wish: WorkWish) -> Shift:
        shift = self._shifts.get(wish.group)
        if shift is not None and shift.stream == wish.stream:
            return shift
        if shift is not None and self.is_busy(wish.group):
            raise GroupRefused(
                f"group {wish.group!r} works on {shift.stream!r} at present, not {wish.stream!r}; "
                "name another group"
            )
        await self._registry.enter(wish.group, WORKING, [wish.stream], wish.start)
        committed = self._registry.offsets(wish.group)
        leases = Leases(self._registry.options.leased_max, wish.deliveries_max)
        for extent in await self._store.extents(wish.stream):
            key = (wish.stream, extent.partition)
            value = await self._store.table(LEASES_TABLE).get(leases_key(wish.group, key))
            if value is None:
                leases.restore(key, committed[key], ())
            else:
                content: dict[str, Any] = orjson.loads(value)
                leases.restore(key, content["next"], content["out"])
        # Two calls at once must get the same shift.
        return self._shifts.setdefault(wish.group, Shift(wish.group, wish.stream, leases))

    async def _again(self, shift: Shift, records_max: int, gaps: list[Gap]) -> list[Record]:
        """The records that are due again, at most so many; the exhausted ones are buried."""
        found: list[Record] = []
        buried_count = 0
        for ticket, cause in shift.leases.due(self._clock.monotonic_ms()):
            if shift.leases.is_exhausted(ticket):
                if buried_count < BURIED_AT_ONCE_MAX:
                    buried_count += 1
                    await self._bury(shift, ticket, GiveBack(cause))
                continue
            if len(found) >= records_max:
                break
            record = await self._read(ticket)
            if record is None:
                gaps.append(Gap(*ticket.key, ticket.offset, ticket.offset + 1, "removed"))
                await self._keep(shift, Settled({ticket.key: [ticket.offset]}))
            else:
                found.append(record)
        return found

    async def _fresh(self, shift: Shift, records_max: int, gaps: list[Gap]) -> list[Record]:
        """Records that nobody has had yet, oldest first in each partition."""
        leases = shift.leases
        found: list[Record] = []
        for key in shift.keys_in_turn():
            left = min(records_max, leases.room) - len(found)
            if left <= 0:
                break
            offset = await self._start_of(shift, key, gaps)
            if offset is None:
                continue
            try:
                chunk = await self._store.fetch(*key, offset, records_max=left)
            except OffsetOutOfRange:
                # Retention has overtaken us; the next call looks anew.
                continue
            gaps += chunk.gaps
            records = [record for batch in chunk.batches for record in batch.records()]
            if not records:
                leases.next_offsets[key] = chunk.next_offset
            found += records
        return found

    async def _chosen(
        self, shift: Shift, records_max: int, gaps: list[Gap], wanted: Wanted
    ) -> list[Record]:
        """The next records that are wanted, after some looking; `is_behind` if it wasn't enough."""
        leases = shift.leases
        found: list[Record] = []
        shift.is_behind = False
        for key in shift.keys_in_turn():
            left = min(records_max, leases.room) - len(found)
            if left <= 0:
                shift.is_behind = True
                break
            start = await self._start_of(shift, key, gaps)
            if start is None:
                continue
            try:
                chunk = await self._store.fetch(*key, start, records_max=LOOKED_AT_MAX)
            except OffsetOutOfRange:
                shift.is_behind = True
                continue
            gaps += chunk.gaps
            picked, leases.next_offsets[key] = pick(chunk, wanted, left)
            shift.is_behind = True
            found += picked
        return found

    async def _start_of(self, shift: Shift, key: Key, gaps: list[Gap]) -> int | None:
        """Where a partition is to be read on; None at its end."""
        offset = shift.leases.next_offsets[key]
        bounds = await self._store.bounds(*key)
        if offset < bounds.log_start_offset:
            gaps.append(Gap(*key, offset, bounds.log_start_offset, "removed"))
            offset = shift.leases.next_offsets[key] = bounds.log_start_offset
        return offset if offset < bounds.log_end_offset else None

    async def _read(self, ticket: Ticket) -> Record | None:
        """A record that was out; None when it is gone meanwhile."""
        try:
            chunk = await self._store.fetch(*ticket.key, ticket.offset, records_max=1)
        except OffsetOutOfRange:
            return None
        records = [record for batch in chunk.batches for record in batch.records()]
        return records[0] if records and records[0].offset == ticket.offset else None

    async def _bury(self, shift: Shift, ticket: Ticket, back: GiveBack) -> None:
        """Make a record a dead letter and settle it, in one commit."""
        record = await self._read(ticket)
        worker = back.failed_by or shift.leases.worker_of(ticket)
        outputs = []
        if record is not None:
            tries = back.tries or ticket.deliveries
            failure = Failure(back.cause, shift.group, worker, tries)
            outputs.append(letter_run(record, failure, self._clock.now_ms()))
            await self._ensure_letters()
        state = [] if record is None else letter_puts(record)
        await self._keep(shift, Settled({ticket.key: [ticket.offset]}, outputs, state))

    async def _ensure_letters(self) -> None:
        try:
            await self._store.bounds(DEAD_LETTERS.name, 0)
        except UnknownStream:
            await self._store.ensure(DEAD_LETTERS)

    async def _keep(self, shift: Shift, settled: Settled) -> None:
        """Make the state durable as it is once some records are settled; then settle them."""
        leases = shift.leases
        puts = []
        offsets = {}
        for key, own in settled.offsets.items():
            content = {"next": leases.next_offsets[key], "out": leases.counts(key, own)}
            puts.append(Put(LEASES_TABLE, leases_key(shift.group, key), orjson.dumps(content)))
            offsets[key] = leases.committed(key, own)
        reached = {key: leases.next_offsets[key] for key in settled.offsets}
        await self._store.commit_group(
            shift.group,
            0,
            outputs=settled.outputs,
            state=[*puts, *settled.state],
            offsets=offsets,
        )
        shift.saved.update(reached)
        self._registry.offsets(shift.group).update(offsets)
        for key, own in settled.offsets.items():
            for offset in own:
                leases.settle(key, offset)
