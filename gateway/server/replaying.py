"""Subscriptions that begin in the past: history from the log, then live, without a seam.

`$replay/<start>/<filter>` for any client, or the user property `penstock-start` on SUBSCRIBE.
"""

from __future__ import annotations

from gateway.events import RecordBatch
from gateway.mqtt import matches
from gateway.server.fanout import YIELD_EVERY, Fanout
from gateway.server.subscriber import Slot, Subscriber
from gateway.session import Grant, Position, Terms
from gateway.store import Place, offsets_at, parse_place


async def replay(
    fanout: Fanout, subscriber: Subscriber, grant: Grant, positions: dict[Slot, int] | None
) -> None:
    """Deliver what matches from `positions`, or else the grant's start, until the tail is reached.

    Then the grant joins the subscription tree: both this task and the fan-out run on one event loop
    and compare positions without an await between, so nothing is skipped or sent twice.
    """
    if positions is None:
        place = parse_place(grant.start, fanout.clock.now_ms()) or Place("latest")
        positions = await offsets_at(fanout.store, fanout.slots, place)
    subscriber.replays[grant.topic_filter] = positions
    reader = Replay(fanout, subscriber, grant, positions)
    tail = fanout.store.tail(fanout.streams, dict(positions))
    try:
        while True:
            if positions == fanout.positions and subscriber.is_live:
                break
            if positions == fanout.positions:
                await subscriber.live.wait()
                continue
            for batch in await tail.next():
                await reader.bring(batch)
            subscriber.flush()
    finally:
        tail.close()
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

    async def bring(self, batch: RecordBatch) -> None:
        """Send what matches in a batch, at the pace at which the client acknowledges."""
        slot = (batch.stream, batch.partition)
        offset = batch.base_offset
        for run in batch.runs:
            is_own = self._terms.no_local and run.client == self._subscriber.client_id
            for index, origin in enumerate(run.origins):
                if not is_own and self._wants(origin.topic):
                    message = self._fanout.message(run, index)
                    if message is not None:
                        self._positions[slot] = offset
                        position = Position(*slot, offset, message.qos)
                        await self._fanout.press(self._subscriber, message, self._terms, position)
                offset += 1
                if offset % YIELD_EVERY == 0:
                    self._positions[slot] = offset
                    await self._fanout.breathe(self._subscriber)
        self._positions[slot] = batch.next_offset

    def _wants(self, topic: str) -> bool:
        wanted = self._is_wanted_by_topic.get(topic)
        if wanted is None:
            wanted = self._is_wanted_by_topic[topic] = matches(self._pattern, topic)
        return wanted
