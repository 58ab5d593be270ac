"""Subscriptions that begin in the past: history from the log, then live, without a seam.

`$replay/<start>/<filter>` for any client, or the user property `penstock-start` on SUBSCRIBE.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from gateway.errors import StoreError
from gateway.events import RecordBatch
from gateway.mqtt import matches
from gateway.server.fanout import YIELD_EVERY, Fanout
from gateway.server.subscriber import Slot, Subscriber
from gateway.session import Grant, Position, Terms
from gateway.store import Place, offsets_at, parse_place

LOG = logging.getLogger(__name__)
# About what a topic costs beside its name, and what one replay remembers of topics.
TOPIC_BYTES = 150
TOPICS_BYTES_MAX = 4 << 20


def replay(
    fanout: Fanout, subscriber: Subscriber, grant: Grant, positions: dict[Slot, int] | None
) -> Coroutine[None, None, None]:
    """Deliver what matches from `positions`, or else the grant's start, until the tail is reached.

    Where it stands is among the subscriber's `replays` from this call on, not from its first step:
    a connection that breaks at once must not cost the history. Empty positions are the start.
    """
    own = subscriber.replays[grant.topic_filter] = {} if positions is None else positions
    return _replay(fanout, subscriber, grant, own, is_resumed=positions is not None)


async def _replay(
    fanout: Fanout,
    subscriber: Subscriber,
    grant: Grant,
    positions: dict[Slot, int],
    *,
    is_resumed: bool,
) -> None:
    topic_filter = grant.topic_filter
    try:
        if is_resumed:
            # What an earlier connection left unacknowledged is older, and goes first.
            await subscriber.live.wait()
        await _take_place(fanout, grant, positions)
        await _read_on(fanout, subscriber, grant, positions)
    except StoreError as error:
        # It stays among the replays, and goes on when the client comes back.
        LOG.warning("'%s' can't replay '%s': %s", subscriber.client_id, topic_filter, error)
    except asyncio.CancelledError:
        if subscriber.replays.get(topic_filter) is positions:
            del subscriber.replays[topic_filter]
        raise
    else:
        _join_tail(fanout, subscriber, grant)


async def _take_place(fanout: Fanout, grant: Grant, positions: dict[Slot, int]) -> None:
    """Make `positions` a place in the log as it is: partitions come, and retention removes."""
    start = parse_place(grant.start, fanout.clock.now_ms()) or Place("latest")
    found: dict[Slot, int] = {}
    for slot in fanout.tails.slots:
        place = Place("offset", positions[slot]) if slot in positions else start
        found |= await offsets_at(fanout.store, [slot], place)
    positions.clear()
    positions.update(found)


async def _read_on(
    fanout: Fanout, subscriber: Subscriber, grant: Grant, positions: dict[Slot, int]
) -> None:
    """Deliver until the positions are the fan-out's, and the subscriber is at the tail.

    Both this task and the fan-out run on one event loop, and what follows has no await between, so
    nothing is skipped or sent twice.
    """
    reader = Replay(fanout, subscriber, grant, positions)
    while await _read_streams(fanout, subscriber, reader, positions):
        pass


async def _read_streams(
    fanout: Fanout, subscriber: Subscriber, reader: Replay, positions: dict[Slot, int]
) -> bool:
    """Deliver until the tail is reached; True if streams have been added before."""
    streams = fanout.tails.streams
    for slot, start in fanout.tails.starts.items():
        positions.setdefault(slot, start)
    tail = fanout.tails.open(positions)
    try:
        while positions != fanout.positions or not subscriber.is_live:
            if positions == fanout.positions:
                await subscriber.live.wait()
                continue
            for batch in await tail.next():
                await reader.bring(batch)
            subscriber.flush()
            if streams is not fanout.tails.streams:
                return True
    finally:
        fanout.tails.close(tail)
    return False


def _join_tail(fanout: Fanout, subscriber: Subscriber, grant: Grant) -> None:
    """From here on the subscription is like any other."""
    del subscriber.replays[grant.topic_filter]
    subscriber.replaying.pop(grant.topic_filter, None)
    if (
        grant.pattern not in subscriber.state.grants_by_filter
        or grant.pattern == grant.topic_filter
    ):
        fanout.tree.add(grant.pattern, subscriber, grant)


class Replay:
    """One subscription that is being served history."""

    def __init__(
        self, fanout: Fanout, subscriber: Subscriber, grant: Grant, positions: dict[Slot, int]
    ) -> None:
        self._fanout = fanout
        self._subscriber = subscriber
        self._pattern = grant.pattern
        self._terms = Terms.of([grant])
        self._positions = positions
        self._is_wanted_by_topic: dict[str, bool] = {}
        self._topics_bytes = 0

    async def bring(self, batch: RecordBatch) -> None:
        """Send what matches in a batch, at the pace at which the client acknowledges."""
        slot = (batch.stream, batch.partition)
        offset = batch.base_offset
        for run in batch.runs:
            terms = self._terms.for_message_of(run.client, self._subscriber.client_id)
            for index, origin in enumerate(run.origins):
                if terms is not None and self._wants(origin.topic):
                    message = self._fanout.message(run, index)
                    if message is not None:
                        self._positions[slot] = offset
                        position = Position(*slot, offset, message.qos)
                        await self._fanout.press(self._subscriber, message, terms, position)
                offset += 1
                if offset % YIELD_EVERY == 0:
                    self._positions[slot] = offset
                    await self._fanout.breathe(self._subscriber)
        self._positions[slot] = batch.next_offset

    def _wants(self, topic: str) -> bool:
        wanted = self._is_wanted_by_topic.get(topic)
        if wanted is None:
            if self._topics_bytes > TOPICS_BYTES_MAX:
                self._is_wanted_by_topic.clear()
                self._topics_bytes = 0
            self._topics_bytes += len(topic) + TOPIC_BYTES
            wanted = self._is_wanted_by_topic[topic] = matches(self._pattern, topic)
        return wanted
