"""Which records of a stream are out with competing consumers, and how often each has been.

Without IO: time is an argument, monotonic. The records are read by `gateway.store.groups.work`.

Theory of operation. Of each partition there is a next offset, which nobody has had yet, and the
records below it that are not settled: leased, or waiting to be given out again. Everything else
below it is settled, so the state is as large as what is out, at most `leased_max` records, however
many were settled in whatever order. The lowest that is not settled is the committed offset. Leases
do not outlive the process that grants them: after a restart what was out is due at once, its count
kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.store.cursors import Key


class Ticket(NamedTuple):
    """The right to settle one delivery of one record."""

    stream: str
    partition: int
    offset: int
    deliveries: int

    @property
    def key(self) -> Key:
        """The partition."""
        return self.stream, self.partition


@dataclass(slots=True)
class Outstanding:
    """A record that is not settled: with `worker` until `until_ms`, or with nobody before it."""

    deliveries: int = 0
    worker: str = ""
    until_ms: int | None = None
    cause: str = ""


@dataclass(slots=True)
class Leases:
    """What one group has out of one stream."""

    leased_max: int
    deliveries_max: int
    next_offsets: dict[Key, int] = field(default_factory=dict)
    _outstanding: dict[Key, dict[int, Outstanding]] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """How many records that nobody has had may be given out."""
        return self.leased_max - sum(map(len, self._outstanding.values()))

    def committed(self, key: Key, without: Collection[int] = ()) -> int:
        """Below this offset everything is settled, once the offsets `without` are."""
        out = (offset for offset in self._outstanding.get(key, ()) if offset not in without)
        return min(out, default=self.next_offsets[key])

    def counts(self, key: Key, without: Collection[int] = ()) -> list[tuple[int, int]]:
        """The records that are not settled, by offset, each with the number of its deliveries."""
        own = self._outstanding.get(key, {})
        return [(offset, own[offset].deliveries) for offset in sorted(own) if offset not in without]

    def restore(self, key: Key, next_offset: int, counts: Iterable[Sequence[int]]) -> None:
        """Take up what `next_offsets` and `counts` said before a restart."""
        self.next_offsets[key] = next_offset
        self._outstanding[key] = {
            offset: Outstanding(deliveries, cause="the gateway stopped meanwhile")
            for offset, deliveries in counts
        }

    def workers(self, now_ms: int) -> Mapping[str, int]:
        """Who has how many records at present."""
        found: dict[str, int] = {}
        for own in self._outstanding.values():
            for record in own.values():
                if record.until_ms is not None and record.until_ms > now_ms and record.worker:
                    found[record.worker] = found.get(record.worker, 0) + 1
        return found

    def due(self, now_ms: int) -> list[tuple[Ticket, str]]:
        """The records that are to be given out again, each with why; those out longest first."""
        found = []
        for key in sorted(self._outstanding):
            for offset, record in sorted(self._outstanding[key].items()):
                if record.until_ms is None or record.until_ms <= now_ms:
                    cause = record.cause or f"the lease of {record.worker!r} expired"
                    found.append((Ticket(*key, offset, record.deliveries), cause))
        return found

    def is_exhausted(self, ticket: Ticket) -> bool:
        """Whether a record was delivered as often as it may be."""
        return ticket.deliveries >= self.deliveries_max

    def worker_of(self, ticket: Ticket) -> str:
        """Who had a record last."""
        return self._outstanding[ticket.key][ticket.offset].worker

    def grant(self, key: Key, offset: int, worker: str, until_ms: int) -> Ticket:
        """Give a record out, for the first time or again."""
        own = self._outstanding.setdefault(key, {})
        record = own.setdefault(offset, Outstanding())
        record.deliveries += 1
        record.worker, record.until_ms, record.cause = worker, until_ms, ""
        self.next_offsets[key] = max(self.next_offsets[key], offset + 1)
        return Ticket(*key, offset, record.deliveries)

    def holds(self, ticket: Ticket, worker: str, now_ms: int) -> bool:
        """Whether this delivery still stands: not expired, not settled, not given to another."""
        record = self._outstanding.get(ticket.key, {}).get(ticket.offset)
        return (
            record is not None
            and record.worker == worker
            and record.deliveries == ticket.deliveries
            and record.until_ms is not None
            and record.until_ms > now_ms
            and not record.cause
        )

    def settle(self, key: Key, offset: int) -> None:
        """Be done with a record."""
        del self._outstanding[key][offset]

    def extend(self, ticket: Ticket, until_ms: int) -> None:
        """Let a delivery that `holds` last until another moment."""
        self._outstanding[ticket.key][ticket.offset].until_ms = until_ms

    def give_back(self, ticket: Ticket, cause: str, due_ms: int) -> None:
        """End a delivery that `holds`, to be given out again from `due_ms` on."""
        record = self._outstanding[ticket.key][ticket.offset]
        record.cause, record.until_ms = cause, due_ms
