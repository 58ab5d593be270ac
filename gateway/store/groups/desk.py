"""Where a group's members sign in: one desk for each log, in the process that writes it.

`gateway.store.groups.membership` decides; this keeps what it decides, and the offsets. Members in
other processes come through `gateway.store.groups.host`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from gateway.clock import Clock
from gateway.errors import GroupRefused, MemberFenced, OffsetOutOfRange
from gateway.events import Run
from gateway.store.cursors import Key
from gateway.store.groups.membership import Membership, Seated, Share
from gateway.store.groups.options import (
    SESSION_MS,
    SESSION_MS_MAX,
    SESSION_MS_MIN,
    GroupOptions,
)
from gateway.store.groups.register import (
    READING,
    REGISTER_TABLE,
    WORKING,
    GroupEntry,
    check_name,
    read_entry,
)
from gateway.store.groups.work import WorkDesk
from gateway.store.protocol import Appended, Put, StreamStore

MEMBER_BYTES = 8


class Wish(NamedTuple):
    """How somebody wants to join; a `name` of its own keeps its place for the length of a session.

    `start`, earliest or latest, counts only where the group has committed nothing.
    """

    group: str
    streams: Sequence[str]
    name: str = ""
    start: str = "earliest"
    session_ms: int = SESSION_MS


class GroupView(NamedTuple):
    """A group with members, as people see it."""

    name: str
    generation: int
    members: Sequence[Seated]


class Desk(Protocol):
    """What a member needs, wherever the desk is."""

    async def join(self, wish: Wish) -> str:
        """Take a seat; returns the member's own id.

        Raises:
            GroupRefused: the group can't be joined so.
            OffsetOutOfRange: the group stands behind the log end.
            UnknownStream: there is no such stream.
        """
        ...

    async def beat(self, member: str) -> Share:
        """Give a sign of life.

        Raises:
            MemberFenced: the seat is gone.
        """
        ...

    async def committed(self, member: str, keys: Sequence[Key]) -> Mapping[Key, int]:
        """The committed offsets of partitions that the member holds."""
        ...

    async def release(self, member: str, keys: Sequence[Key]) -> None:
        """Let go of partitions that others wait for."""
        ...

    async def commit(
        self,
        member: str,
        offsets: Mapping[Key, int],
        outputs: Sequence[Run] = (),
        state: Sequence[Put] = (),
    ) -> Appended:
        """Make offsets durable, with what belongs to them.

        Raises:
            MemberFenced: a partition belongs to another; nothing was written.
        """
        ...

    async def leave(self, member: str) -> None:
        """Give the seat up."""
        ...


class GroupDesk:
    """The desk of a log that this process writes."""

    def __init__(
        self, store: StreamStore, clock: Clock, options: GroupOptions | None = None
    ) -> None:
        self.options = options or GroupOptions()
        self.work = WorkDesk(store, clock, self)
        self._store = store
        self._clock = clock
        self._entries: dict[str, GroupEntry] = {}
        self._memberships: dict[str, Membership] = {}
        self._groups_of_members: dict[str, str] = {}
        self._offsets: dict[str, dict[Key, int]] = {}
        self._changing = asyncio.Lock()

    async def join(self, wish: Wish) -> str:
        async with self._changing:
            entry = await self.enter(wish.group, READING, wish.streams, wish.start)
            membership = await self._membership(entry)
            if wish.name:
                check_name(wish.name)
            if len(membership.seats()) >= self.options.members_max:
                raise GroupRefused(
                    f"group {wish.group!r} has {self.options.members_max} members already"
                )
            session_ms = min(max(wish.session_ms, SESSION_MS_MIN), SESSION_MS_MAX)
            member = secrets.token_hex(MEMBER_BYTES)
            membership.join(member, wish.name, session_ms, self._clock.monotonic_ms())
            self._groups_of_members[member] = wish.group
            entry.former = membership.former
            await self._store.commit_group(wish.group, membership.generation, state=[entry.put()])
            return member

    async def beat(self, member: str) -> Share:
        return self._seat(member).beat(member, self._clock.monotonic_ms())

    async def committed(self, member: str, keys: Sequence[Key]) -> Mapping[Key, int]:
        membership = self._seat(member)
        membership.check(member, keys)
        offsets = self._offsets[membership.group]
        return {key: offsets[key] for key in keys}

    async def release(self, member: str, keys: Sequence[Key]) -> None:
        self._seat(member).release(member, keys)

    async def commit(
        self,
        member: str,
        offsets: Mapping[Key, int],
        outputs: Sequence[Run] = (),
        state: Sequence[Put] = (),
    ) -> Appended:
        membership = self._seat(member)
        membership.expire(self._clock.monotonic_ms())
        membership.check(member, offsets)
        # Nothing may come between the check and the queue.
        committing = self._store.commit_group(
            membership.group,
            membership.generation,
            outputs=outputs,
            state=state,
            offsets=offsets,
        )
        appended = await committing
        self._offsets[membership.group].update(offsets)
        return appended

    async def leave(self, member: str) -> None:
        membership = self._memberships.get(self._groups_of_members.pop(member, ""))
        if membership is not None:
            membership.leave(member, self._clock.monotonic_ms())

    def lose(self, member: str) -> None:
        """Note that a member's connection is gone."""
        membership = self._memberships.get(self._groups_of_members.get(member, ""))
        if membership is not None:
            membership.lose(member, self._clock.monotonic_ms())

    def look(self) -> None:
        """Remove members that have been silent for too long; call it at least twice a second."""
        for membership in self._memberships.values():
            membership.expire(self._clock.monotonic_ms())
        gone = [
            member
            for member, group in self._groups_of_members.items()
            if group not in self._memberships or not self._memberships[group].knows(member)
        ]
        for member in gone:
            del self._groups_of_members[member]

    async def views(self) -> Sequence[GroupView]:
        """Every group that has members or workers at present, by name."""
        self.look()
        views = [
            GroupView(name, membership.generation, membership.seats())
            for name, membership in self._memberships.items()
            if not membership.is_empty
        ]
        return sorted(views + [GroupView(name, 0, seats) for name, seats in self.work.seats()])

    async def seek(self, group: str, offsets: Mapping[Key, int]) -> None:
        """Move a group that nobody reads at present.

        Raises:
            GroupRefused: it has members, is the gateway's own, or there is no such group.
            OffsetOutOfRange: a partition doesn't hold that offset; says what it holds.
        """
        async with self._changing:
            entry = await self._idle(group, "move")
            for key, offset in offsets.items():
                if key[0] not in entry.streams:
                    streams = ", ".join(entry.streams)
                    raise GroupRefused(f"group {group!r} reads {streams}, not {key[0]}")
                bounds = await self._store.bounds(*key)
                if not bounds.log_start_offset <= offset <= bounds.log_end_offset:
                    raise OffsetOutOfRange(
                        f"{key[0]}/{key[1]} can be read from @{bounds.log_start_offset} to "
                        f"@{bounds.log_end_offset}, not from @{offset}"
                    )
            state = [
                Put(table, name, None) for table, name in self.work.forget(entry, list(offsets))
            ]
            generation = await self._generation(group) + 1
            await self._store.commit_group(group, generation, offsets=offsets, state=state)
            self._offsets[group].update(offsets)

    async def delete(self, group: str) -> None:
        """Forget a group that nobody reads at present, with its offsets.

        Raises:
            GroupRefused: it has members, is the gateway's own, or there is no such group.
        """
        async with self._changing:
            self._check_idle(group, "delete")
            try:
                entry = await self._entry(group)
            except GroupRefused:
                entry = None
            if entry is None:
                streams = [spec.name for spec in await self._store.streams()]
                await self._check_known(group)
                entry = GroupEntry(group, WORKING, streams)
            keys = await self._keys(entry.streams)
            puts = [Put(table, name, None) for table, name in self.work.forget(entry, keys)]
            await self._store.append((), [*puts, Put(REGISTER_TABLE, group, None)])
            await self._store.forget_group(group)
            for known in (self._entries, self._memberships, self._offsets):
                known.pop(group, None)

    async def enter(self, group: str, kind: str, streams: Sequence[str], start: str) -> GroupEntry:
        """Find a group or found it, and see that it may be used so.

        Raises:
            GroupRefused: it may not.
            OffsetOutOfRange: it stands behind the log end.
            UnknownStream: there is no such stream.
        """
        check_name(group)
        if group in self.options.reserved:
            raise GroupRefused(f"group {group!r} is the gateway's own; name another group")
        keys = await self._keys(streams)
        entry = await self._entry(group)
        if entry is None:
            entry = GroupEntry(group, kind, sorted(streams))
            await self._refuse_too_many(group)
        entry.check_kind(kind)
        if sorted(entry.streams) != sorted(streams):
            self._refuse_other_streams(entry, streams)
        await self._settle_offsets(entry, keys, start)
        self._entries[group] = entry
        return entry

    def offsets(self, group: str) -> dict[Key, int]:
        """What a group that was entered has committed."""
        return self._offsets[group]

    def _refuse_other_streams(self, entry: GroupEntry, streams: Sequence[str]) -> None:
        membership = self._memberships.get(entry.name)
        if membership is None or membership.is_empty:
            entry.streams = sorted(streams)
            self._memberships.pop(entry.name, None)
            self.look()
            return
        raise GroupRefused(
            f"group {entry.name!r} reads {', '.join(entry.streams)} at present, not "
            f"{', '.join(streams)}; name another group"
        )

    async def _refuse_too_many(self, group: str) -> None:
        known = await self._store.groups()
        if any(own.name == group for own in known):
            raise GroupRefused(f"group {group!r} is the gateway's own; name another group")
        if len(known) >= self.options.groups_max:
            raise GroupRefused(
                f"there are {len(known)} groups already; delete one with "
                "'penstock streams groups --delete NAME'"
            )

    async def _entry(self, group: str) -> GroupEntry | None:
        if group in self._entries:
            return self._entries[group]
        value = await self._store.table(REGISTER_TABLE).get(group)
        return None if value is None else read_entry(group, value)

    async def _settle_offsets(self, entry: GroupEntry, keys: Sequence[Key], start: str) -> None:
        """See that the group stands somewhere in every partition, from its first day on."""
        if entry.name not in self._offsets:
            known = {own.name: own.offsets for own in await self._store.groups()}
            self._offsets[entry.name] = dict(known.get(entry.name, {}))
        offsets = self._offsets[entry.name]
        founded = {}
        for key in keys:
            bounds = await self._store.bounds(*key)
            if key not in offsets:
                founded[key] = bounds[1 if start == "latest" else 0]
            elif offsets[key] > bounds.log_end_offset:
                raise OffsetOutOfRange(
                    f"group {entry.name!r} stands at @{offsets[key]} of {key[0]}/{key[1]}, which "
                    f"ends at @{bounds.log_end_offset}; move it with 'penstock streams seek'"
                )
        if founded:
            await self._store.commit_group(entry.name, 0, offsets=founded, state=[entry.put()])
            offsets.update(founded)

    async def _membership(self, entry: GroupEntry) -> Membership:
        membership = self._memberships.get(entry.name)
        if membership is None:
            membership = Membership(
                entry.name,
                await self._keys(entry.streams),
                await self._generation(entry.name),
                entry.former,
            )
            self._memberships[entry.name] = membership
        return membership

    async def _generation(self, group: str) -> int:
        return next((own.generation for own in await self._store.groups() if own.name == group), 0)

    async def _keys(self, streams: Sequence[str]) -> list[Key]:
        if not streams:
            raise GroupRefused("a group reads at least one stream; name one")
        return [
            (stream, extent.partition)
            for stream in sorted(streams)
            for extent in await self._store.extents(stream)
        ]

    async def _idle(self, group: str, verb: str) -> GroupEntry:
        self._check_idle(group, verb)
        entry = await self._entry(group)
        if entry is None:
            await self._check_known(group)
            raise GroupRefused(f"can't {verb} group {group!r}: it is the gateway's own")
        self._entries[group] = entry
        await self._settle_offsets(entry, (), "earliest")
        return entry

    def _check_idle(self, group: str, verb: str) -> None:
        if group in self.options.reserved:
            raise GroupRefused(f"can't {verb} group {group!r}: it is the gateway's own")
        self.look()
        membership = self._memberships.get(group)
        is_read = membership is not None and not membership.is_empty
        if is_read or self.work.is_busy(group):
            raise GroupRefused(
                f"can't {verb} group {group!r} while it has members; stop them first"
            )

    async def _check_known(self, group: str) -> None:
        names = [own.name for own in await self._store.groups()]
        if group not in names:
            raise GroupRefused(f"no group {group!r}; there are: {', '.join(names) or 'none'}")

    def _seat(self, member: str) -> Membership:
        membership = self._memberships.get(self._groups_of_members.get(member, ""))
        if membership is None:
            raise MemberFenced("no group knows this member; join again")
        return membership
