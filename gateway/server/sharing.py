"""Shared subscriptions: a group reads the log with one cursor, and each event goes to one member.

Theory of operation
-------------------
A group has positions of its own, like any reader. One task per group reads on while there are
members, chooses a member for each event and waits until that one can take it. What a member has not
acknowledged when it leaves comes back and goes to another, oldest first, before anything newer;
also before an event that was waiting for a member already. With QoS 2 it may have been received,
and is the member's own: its session sends it again, or takes it along when it ends. In `ordered`
groups a device's events stay with one member as long as any of them is unacknowledged; which member
that is, is decided by a hash of both, so that members coming and going move few devices. In
`balanced` groups each event goes to the next member that has room. What is saved is where the group
stands and what is unacknowledged.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any

import msgspec

from gateway.errors import StoreError
from gateway.events import Flag, RecordBatch
from gateway.mqtt import matches
from gateway.server.fanout import YIELD_EVERY, Fanout
from gateway.server.share_accounts import SHARES_TABLE, SavedGroup, ShareTally
from gateway.server.subscriber import Slot, Subscriber
from gateway.session import Grant, Outgoing, Position, Terms
from gateway.store import Put, StreamStore, Tail

LOG = logging.getLogger(__name__)
OWNERS_MAX = 100_000
QOS_2 = 2
# About what a topic costs beside its name, and what one group remembers of topics.
TOPIC_BYTES = 150
TOPICS_BYTES_MAX = 16 << 20
RETRY_S = 1.0


@dataclass(slots=True, eq=False)
class Owner:
    """Which member has the events of a device, and which of them it has not acknowledged."""

    member: Subscriber
    packet_ids: set[bytes] = field(default_factory=set)


class SharedGroup:
    """The members of one `$share/<group>/<filter>` and their common cursor.

    Spec: MQTT5 §4.8.2 [MQTT5-4.8.2-3] [MQTT5-4.8.2-6]
    """

    def __init__(self, fanout: Fanout, topic_filter: str, *, is_ordered: bool) -> None:
        self.topic_filter = topic_filter
        self.positions: dict[Slot, int] = dict(fanout.positions)
        self.members: dict[Subscriber, Terms] = {}
        self.is_dirty = True
        self._is_restored = False
        self._fanout = fanout
        self._pattern = Grant(topic_filter, 0).pattern
        self._is_ordered = is_ordered
        # A heap: whoever leaves first may leave the later events of a device.
        self._returned: list[Position] = []
        self._tally = ShareTally()
        self._owners: dict[str, Owner] = {}
        self._is_wanted_by_topic: dict[str, bool] = {}
        self._topics_bytes = 0
        self._changed = asyncio.Event()
        self._turn = 0
        self._task: asyncio.Task[None] | None = None

    def restore(self, saved: SavedGroup) -> None:
        """Stand where an earlier run stood; what was unacknowledged goes out again."""
        for stream, partition, offset in saved.positions:
            if (stream, partition) in self.positions:
                self.positions[stream, partition] = offset
        self._returned.extend(saved.unacknowledged)
        self._tally = saved.tally or ShareTally(matched=len(self._returned))
        heapify(self._returned)
        self._is_restored = True

    def snapshot(self) -> SavedGroup:
        """What must survive."""
        positions = [(*slot, offset) for slot, offset in self.positions.items()]
        out = list(self._unacknowledged())
        tally = self._tally
        saved = ShareTally(tally.matched, tally.given - len(out), tally.expired, tally.lost)
        return SavedGroup(positions, [*self._returned, *out], saved)

    def _unacknowledged(self) -> Iterable[Position]:
        for member in self.members:
            for position in member.state.in_flight.values():
                if self._comes_back(position):
                    yield position

    def _comes_back(self, position: Position) -> bool:
        """Whether what a member has not acknowledged is the group's again when the member leaves.

        Spec: MQTT5 §4.8.2 [MQTT5-4.8.2-4] [MQTT5-4.8.2-5]
        """
        return position.share == self.topic_filter and position.qos < QOS_2

    def add(self, member: Subscriber, grant: Grant) -> None:
        """Let a member take its share from now on."""
        if member not in self.members:
            member.on_room.append(self._wake)
            if self._is_restored:
                # The session was saved with what the group has saved, too, and sends again itself.
                self._pop_own(member)
        self.members[member] = Terms.of([grant])
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"share {self.topic_filter}")

    def remove(self, member: Subscriber) -> None:
        """Let a member go; what it has not acknowledged goes to the others."""
        if self.members.pop(member, None) is None:
            return
        member.on_room.remove(self._wake)
        for position in self._pop_own(member):
            heappush(self._returned, position)
            self._tally.given -= 1
        self._owners = {
            device: owner for device, owner in self._owners.items() if owner.member is not member
        }
        self._wake()
        if not self.members and self._task is not None:
            self._task.cancel()
            self._task = None

    def _pop_own(self, member: Subscriber) -> list[Position]:
        """Take what was sent for this group and not acknowledged out of a member's window."""
        in_flight = member.state.in_flight
        own = [one for one, place in in_flight.items() if self._comes_back(place)]
        # Another member owes them from now on.
        member.state.tally.owed -= len(own)
        return [in_flight.pop(packet_id) for packet_id in own]

    def _wake(self) -> None:
        """A member has acknowledged something, or has left: there may be room, and less to keep."""
        self.is_dirty = True
        self._changed.set()

    async def _run(self) -> None:
        while True:
            streams = self._fanout.tails.streams
            if not await self._read_on():
                await asyncio.sleep(RETRY_S)
            elif streams is self._fanout.tails.streams:
                return

    async def _read_on(self) -> bool:
        """Give out what there is and what comes; False when the log can't be read."""
        self.positions = {**self._fanout.tails.starts, **self.positions}
        tail = self._fanout.tails.open(self.positions)
        try:
            await self._follow(tail)
        except StoreError as error:
            LOG.warning("'%s' can't be read, and is tried again: %s", self.topic_filter, error)
            return False
        finally:
            self._fanout.tails.close(tail)
        return True

    async def _follow(self, tail: Tail) -> None:
        """Give out what a tail reads, until the store is closed."""
        reading: asyncio.Future[Sequence[RecordBatch]] | None = None
        try:
            while True:
                await self._send_returned()
                self._flush()
                reading = reading or asyncio.ensure_future(tail.next())
                self._changed.clear()
                await self._first_of(reading)
                if reading.done():
                    batches, reading = reading.result(), None
                    self._tally.lost += sum(own.stop_offset - own.start_offset for own in tail.gaps)
                    if not batches:
                        return
                    for batch in batches:
                        await self._share_out(batch)
                    self._flush()
        finally:
            if reading is not None:
                reading.cancel()

    async def _first_of(self, reading: asyncio.Future[Sequence[RecordBatch]]) -> None:
        """Return when there is something to read, or the members have changed."""
        changed = asyncio.ensure_future(self._changed.wait())
        waiting: list[asyncio.Future[Any]] = [reading, changed]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()

    async def _send_returned(self) -> None:
        """Give what came back to those who are left, oldest first."""
        while self._returned:
            position = self._returned[0]
            found = await self._find(position)
            # While it waits for a member, an older one may come back and go first.
            while self._returned[0] == position:
                if found is None or self._offer(found[1] or found[0], found[2], position):
                    self._tally.expired += found is None
                    heappop(self._returned)
                    self.is_dirty = True
                    break
                await self._wait_for_change()

    async def _find(self, position: Position) -> tuple[str, str, Outgoing] | None:
        found = await self._fanout.find(position)
        whole = None if found is None else await self._fanout.resolve(found[2])
        return None if found is None or whole is None else (found[0], found[1], whole)

    async def _share_out(self, batch: RecordBatch) -> None:
        slot = (batch.stream, batch.partition)
        offset = batch.base_offset
        for run in batch.runs:
            for index, origin in enumerate(run.origins):
                is_new = offset >= self.positions[slot] and self._wants(origin.topic)
                if is_new:
                    message = self._fanout.message(run, index)
                    if message is not None and message.flags >= Flag.CLAIM:
                        message = await self._fanout.resolve(message)
                    if message is not None:
                        place = Position(*slot, offset, message.qos, share=self.topic_filter)
                        await self._send(origin.device, message, place)
                    else:
                        self._tally.expired += 1
                # Without a pause since it was given out: a group that stops here reads it anew.
                self._tally.matched += is_new
                offset += 1
                self.positions[slot] = max(offset, self.positions[slot])
                if offset % YIELD_EVERY == 0:
                    self._flush()
                    await asyncio.sleep(0)
        self.is_dirty = True

    async def _send(self, device: str, message: Outgoing, position: Position) -> None:
        """Give an event to a member, as soon as one can take it, behind all that is older."""
        while True:
            await self._send_returned()
            if self._offer(device, message, position):
                return
            await self._wait_for_change()

    def _offer(self, device: str, message: Outgoing, position: Position) -> bool:
        """Give an event to the member whose turn it is; False when that can take nothing now."""
        member = self._choose(device)
        if member is None:
            return False
        if not member.offer(message, self.members[member], position):
            return False
        self._note_owner(device, member, position)
        self._fanout.delivered += 1
        self._tally.given += 1
        return True

    async def _wait_for_change(self) -> None:
        self._flush()
        self._changed.clear()
        await self._changed.wait()

    def _choose(self, device: str) -> Subscriber | None:
        """The member whose turn it is; None when it can take nothing now."""
        if not self._is_ordered:
            members = list(self.members)
            for step in range(len(members)):
                member = members[(self._turn + step) % len(members)]
                if member.can_take:
                    self._turn += step + 1
                    return member
            return None
        owner = self._owners.get(device)
        if owner is not None:
            owner.packet_ids &= owner.member.state.in_flight.keys()
            if owner.packet_ids:
                return owner.member if owner.member.can_take else None
        if not self.members:
            return None
        member = max(self.members, key=lambda one: _weight(device, one.client_id))
        return member if member.can_take else None

    def _note_owner(self, device: str, member: Subscriber, position: Position) -> None:
        packet_id, last = next(reversed(member.state.in_flight.items()), (b"", position))
        if not self._is_ordered or not packet_id or last[:3] != position[:3]:
            # QoS 0 is done when it is sent: the hash alone keeps the device where it is.
            return
        owner = self._owners.get(device)
        if owner is None or owner.member is not member:
            owner = self._owners[device] = Owner(member)
        owner.packet_ids.add(packet_id)
        if len(self._owners) > OWNERS_MAX:
            self._owners = {
                name: one
                for name, one in self._owners.items()
                if one.packet_ids & one.member.state.in_flight.keys()
            }

    def _wants(self, topic: str) -> bool:
        wanted = self._is_wanted_by_topic.get(topic)
        if wanted is None:
            if self._topics_bytes > TOPICS_BYTES_MAX:
                self._is_wanted_by_topic.clear()
                self._topics_bytes = 0
            self._topics_bytes += len(topic) + TOPIC_BYTES
            wanted = self._is_wanted_by_topic[topic] = matches(self._pattern, topic)
        return wanted

    def _flush(self) -> None:
        for member in self.members:
            member.flush()


def _weight(device: str, client_id: str) -> bytes:
    """How strongly a device belongs to a member: rendezvous hashing moves few devices.

    A CRC will not do: it is linear, so one member would outweigh the others for every device.
    """
    return hashlib.blake2b(f"{device}\n{client_id}".encode(), digest_size=8).digest()


class SharedGroups:
    """Every group by its filter, with how many sessions hold it."""

    def __init__(self, fanout: Fanout, *, is_ordered: bool) -> None:
        self._fanout = fanout
        self._is_ordered = is_ordered
        self._groups: dict[str, SharedGroup] = {}
        self._holders: dict[str, set[str]] = {}

    @property
    def members(self) -> int:
        """How many connected clients take a share, counted once for each of their groups."""
        return sum(len(group.members) for group in self._groups.values())

    async def load(self, store: StreamStore) -> None:
        """Read where the groups of the last run stood; one that can't be read begins anew."""
        for topic_filter, encoded in await store.table(SHARES_TABLE).items():
            group = self._group(topic_filter)
            try:
                group.restore(msgspec.msgpack.decode(encoded, type=SavedGroup))
            except msgspec.DecodeError as error:
                LOG.warning("'%s' begins anew, its place can't be read: %s", topic_filter, error)

    def _group(self, topic_filter: str) -> SharedGroup:
        group = self._groups.get(topic_filter)
        if group is None:
            group = SharedGroup(self._fanout, topic_filter, is_ordered=self._is_ordered)
            self._groups[topic_filter] = group
        return group

    def hold(self, client_id: str, topic_filter: str) -> None:
        """A session has subscribed: the group lives as long as one does."""
        self._holders.setdefault(topic_filter, set()).add(client_id)
        self._group(topic_filter)

    def join(self, member: Subscriber, grant: Grant) -> None:
        """A connected client takes its share."""
        self.hold(member.client_id, grant.topic_filter)
        self._group(grant.topic_filter).add(member, grant)

    def leave(self, member: Subscriber, topic_filter: str) -> None:
        """A client is gone, or has unsubscribed."""
        group = self._groups.get(topic_filter)
        if group is not None:
            group.remove(member)

    def release(self, client_id: str, topic_filter: str) -> list[Put]:
        """A session has no such subscription any more; returns the changes on disk."""
        holders = self._holders.get(topic_filter, set())
        holders.discard(client_id)
        if holders:
            return []
        self._holders.pop(topic_filter, None)
        self._groups.pop(topic_filter, None)
        return [Put(SHARES_TABLE, topic_filter, None)]

    def changes(self) -> list[Put]:
        """What must be written of the groups that have moved.

        Groups that no session holds are dropped: those of sessions that a crash has ended.
        """
        puts: list[Put] = []
        for topic_filter, group in list(self._groups.items()):
            if topic_filter not in self._holders:
                del self._groups[topic_filter]
                puts.append(Put(SHARES_TABLE, topic_filter, None))
            elif group.is_dirty:
                group.is_dirty = False
                puts.append(
                    Put(SHARES_TABLE, topic_filter, msgspec.msgpack.encode(group.snapshot()))
                )
        return puts
