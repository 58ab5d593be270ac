"""The latest offset of each topic: whether a session that comes back has missed anything at all.

Without it, every device that reconnects would read the log from where it left, to find nothing for
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.events import RecordBatch
from gateway.mqtt import has_wildcard
from gateway.routing import TopicTree
from gateway.server.subscriber import Slot


class LatestOffsets:
    """What has been committed to which topic since `known_from`, which are positions in the log.

    Beyond `topics_max` topics it starts over, and knows less.
    """

    def __init__(self, topics_max: int = 200_000) -> None:
        self._topics_max = topics_max
        self._known_from: dict[Slot, int] = {}
        self._next_offsets: dict[str, tuple[Slot, int]] = {}
        self._topics = TopicTree()

    def begin(self, positions: Mapping[Slot, int]) -> None:
        """Know everything from these positions on, and nothing before them."""
        self._known_from = dict(positions)
        self._next_offsets.clear()
        self._topics = TopicTree()

    def note(self, batch: RecordBatch) -> None:
        """Take in the next committed batch."""
        slot = (batch.stream, batch.partition)
        if len(self._next_offsets) > self._topics_max:
            self.begin({**self._known_from, **self._latest_by_slot(), slot: batch.base_offset})
        offset = batch.base_offset
        for run in batch.runs:
            offset += len(run)
            first = run.origins[0]
            alike = run.origins.count(first) == len(run)
            for origin in (first,) if alike else set(run.origins):
                if origin.topic not in self._next_offsets:
                    self._topics.add(origin.topic)
                self._next_offsets[origin.topic] = (slot, offset)

    def _latest_by_slot(self) -> dict[Slot, int]:
        latest: dict[Slot, int] = {}
        for slot, offset in self._next_offsets.values():
            latest[slot] = max(offset, latest.get(slot, 0))
        return latest

    def may_have_news(self, topic_filters: Iterable[str], positions: Mapping[Slot, int]) -> bool:
        """Whether something that a filter matches may lie at `positions` or after."""
        filters = list(topic_filters)
        if not filters:
            return False
        if any(positions.get(slot, 0) < known for slot, known in self._known_from.items()):
            return True
        return any(self._has_news(topic_filter, positions) for topic_filter in filters)

    def _has_news(self, topic_filter: str, positions: Mapping[Slot, int]) -> bool:
        if has_wildcard(topic_filter):
            topics = self._topics.match(topic_filter)
        else:
            topics = iter([topic_filter] if topic_filter in self._next_offsets else [])
        for topic in topics:
            slot, next_offset = self._next_offsets[topic]
            if next_offset > positions.get(slot, 0):
                return True
        return False
