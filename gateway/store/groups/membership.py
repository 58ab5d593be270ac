"""The members of one consumer group as a state machine: who joins, who is gone, who holds what.

Without IO: time is an argument, and always monotonic, so no step of the wall clock fences anybody.

Theory of operation. A member sits in a seat. A seat with a name of its own outlives its member for
the length of a session, so who comes back in time goes on where it was, and nobody else moves; the
member that sat there before is fenced. A partition has an owner, who alone may commit it, and a
target, who is to have it. The two differ while a live member has still to finish what it read: it
lets go at its next poll (`release`), or loses the partition when a session has passed. What a
member holds decides, not the generation, which counts the assignments for people to see.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.errors import MemberFenced
from gateway.store.cursors import Key
from gateway.store.groups.assignor import assign

NAMES_REMEMBERED_MAX = 64


class Share(NamedTuple):
    """What one member holds at present, and which of it others wait for."""

    generation: int
    held: frozenset[Key]
    leaving: frozenset[Key]


class Seated(NamedTuple):
    """A seat as people see it; nobody sits in it while `is_present` is False."""

    name: str
    is_named: bool
    is_present: bool
    held: Collection[Key]


@dataclass(slots=True)
class Seat:
    """A place in the group."""

    member: str
    is_named: bool
    session_ms: int
    deadline_ms: int
    is_present: bool = True


@dataclass(slots=True)
class Membership:
    """Who is in a group; `former` says what named members held when they were last here."""

    group: str
    partitions: Collection[Key]
    generation: int = 0
    former: dict[str, list[Key]] = field(default_factory=dict)
    _seats: dict[str, Seat] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _owners: dict[Key, str] = field(default_factory=dict)
    _targets: dict[Key, str] = field(default_factory=dict)
    _patience_ms: dict[Key, int] = field(default_factory=dict)
    _looked_ms: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nobody has a seat."""
        return not self._seats

    def knows(self, member: str) -> bool:
        """Whether a member has a seat."""
        return member in self._names

    def seats(self) -> list[Seated]:
        """Every seat, by name."""
        return [
            Seated(name, seat.is_named, seat.is_present, sorted(self._held(name)))
            for name, seat in sorted(self._seats.items())
        ]

    def join(self, member: str, name: str, session_ms: int, now_ms: int) -> None:
        """Seat a member; with a `name` that has a seat it takes that one over."""
        self.expire(now_ms)
        seat = self._seats.get(name) if name else None
        if seat is not None:
            del self._names[seat.member]
            seat.member, seat.is_present = member, True
            seat.session_ms, seat.deadline_ms = session_ms, now_ms + session_ms
            self._names[member] = name
            self.generation += 1
            return
        own = name or member
        self._seats[own] = Seat(member, bool(name), session_ms, now_ms + session_ms)
        self._names[member] = own
        self._rebalance(now_ms, dict.fromkeys(self.former.get(name, ()), own))

    def beat(self, member: str, now_ms: int) -> Share:
        """Take a sign of life, and say what the member holds.

        Raises:
            MemberFenced: it has no seat any more.
        """
        name = self._name_of(member)
        seat = self._seats[name]
        seat.deadline_ms = now_ms + seat.session_ms
        self.expire(now_ms)
        held = frozenset(self._held(name))
        leaving = frozenset(key for key in held if self._targets[key] != name)
        return Share(self.generation, held, leaving)

    def check(self, member: str, keys: Iterable[Key]) -> None:
        """Return when the member may commit these partitions.

        Raises:
            MemberFenced: it has no seat, or one of them belongs to another.
        """
        name = self._name_of(member)
        lost = sorted(key for key in keys if self._owners.get(key) != name)
        if lost:
            named = ", ".join(f"{stream}/{partition}" for stream, partition in lost)
            raise MemberFenced(
                f"{named} belongs to another member of the group {self.group!r} by now; "
                "nothing was committed, poll goes on with what is left"
            )

    def release(self, member: str, keys: Iterable[Key]) -> bool:
        """Let go of what others wait for; return whether anything changed hands."""
        name = self._name_of(member)
        moved = [
            key for key in keys if self._owners.get(key) == name and self._targets[key] != name
        ]
        self._settle(moved)
        return bool(moved)

    def leave(self, member: str, now_ms: int) -> None:
        """Give a member's seat up, if it has one."""
        name = self._names.get(member)
        if name is not None:
            self._remove([name], now_ms)

    def lose(self, member: str, now_ms: int) -> None:
        """Note that a member can't be reached any more; a named seat waits for its return."""
        name = self._names.get(member)
        if name is None:
            return
        if self._seats[name].is_named:
            self._seats[name].is_present = False
        else:
            self._remove([name], now_ms)

    def expire(self, now_ms: int) -> None:
        """Remove who has been silent for too long, and end the patience with who doesn't let go.

        When nobody has looked for half a session, the silence was ours: all get their time again.
        """
        looked_ms, self._looked_ms = self._looked_ms, now_ms
        shortest_ms = min((seat.session_ms for seat in self._seats.values()), default=0)
        if looked_ms is not None and now_ms - looked_ms > shortest_ms // 2:
            for seat in self._seats.values():
                seat.deadline_ms += now_ms - looked_ms
            for key in self._patience_ms:
                self._patience_ms[key] += now_ms - looked_ms
        gone = [name for name, seat in self._seats.items() if seat.deadline_ms <= now_ms]
        if gone:
            self._remove(gone, now_ms)
        self._settle([key for key, until_ms in self._patience_ms.items() if until_ms <= now_ms])

    def _name_of(self, member: str) -> str:
        name = self._names.get(member)
        if name is None:
            raise MemberFenced(
                f"this member of the group {self.group!r} was silent for too long or was replaced; "
                "nothing was committed, join again"
            )
        return name

    def _held(self, name: str) -> list[Key]:
        return [key for key, owner in self._owners.items() if owner == name]

    def _remove(self, names: Iterable[str], now_ms: int) -> None:
        for name in names:
            del self._names[self._seats.pop(name).member]
        self._rebalance(now_ms, {})

    def _rebalance(self, now_ms: int, homes: Mapping[Key, str]) -> None:
        """Assign anew; what a live member holds stays with it until it lets go."""
        self.generation += 1
        self._targets = assign(self._seats, self.partitions, self._targets, homes)
        self._patience_ms.clear()
        for key, target in self._targets.items():
            owner = self._owners.get(key)
            if owner in self._seats and owner != target:
                self._patience_ms[key] = now_ms + self._seats[owner].session_ms
        self._settle(set(self._targets) - set(self._patience_ms))
        if not self._targets:
            self._owners.clear()
        self._remember()

    def _settle(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._owners[key] = self._targets[key]
            self._patience_ms.pop(key, None)

    def _remember(self) -> None:
        for name, seat in self._seats.items():
            if seat.is_named:
                self.former.pop(name, None)
                self.former[name] = [key for key, own in self._targets.items() if own == name]
        while len(self.former) > NAMES_REMEMBERED_MAX:
            self.former.pop(next(iter(self.former)))
