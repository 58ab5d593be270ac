"""Idempotent publishing: a message that carries `penstock-seq` is stored once within a window.

The window is durable without a byte of its own: sequence numbers lie in the log with their
messages, and are read back from there at start.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.errors import MqttError
from gateway.events import RecordBatch
from gateway.mqtt import decode_publish_properties
from gateway.store import Place, StreamStore, offsets_at

SEQUENCE_PROPERTY = "penstock-seq"
MARK = SEQUENCE_PROPERTY.encode()
TABLE = "features"

Identity = tuple[str, str]
"""Client identifier and sequence number."""


def sequence_of(properties: bytes) -> str | None:
    """The sequence number among a message's MQTT 5 properties; None when it has none."""
    if MARK not in properties:
        return None
    try:
        decoded = decode_publish_properties(properties)
    except MqttError:
        return None
    return dict(decoded.user_properties).get(SEQUENCE_PROPERTY)


class Repeats:
    """Which sequence numbers have been seen lately, oldest first.

    What is older than `window_ms`, or beyond `count_max`, is forgotten: a repeat of it is stored
    again.
    """

    def __init__(self, window_ms: int, count_max: int = 100_000) -> None:
        self._window_ms = window_ms
        self._count_max = count_max
        self._seen_at_ms: dict[Identity, int] = {}
        self.repeated = 0

    def __len__(self) -> int:
        return len(self._seen_at_ms)

    def take(self, identity: Identity, now_ms: int) -> bool:
        """Note a message; True when it is new."""
        self._prune(now_ms)
        if identity in self._seen_at_ms:
            self.repeated += 1
            return False
        self._seen_at_ms[identity] = now_ms
        return True

    def forget(self, identities: Iterable[Identity]) -> None:
        """Take messages back that were not stored after all."""
        for identity in identities:
            self._seen_at_ms.pop(identity, None)

    def _prune(self, now_ms: int) -> None:
        seen = self._seen_at_ms
        while seen:
            oldest = next(iter(seen))
            if len(seen) < self._count_max and now_ms - seen[oldest] < self._window_ms:
                return
            del seen[oldest]

    async def load(self, store: StreamStore, slots: Iterable[tuple[str, int]], now_ms: int) -> None:
        """Read the window back from the log, if this log has ever held a sequence number."""
        if await store.table(TABLE).get(SEQUENCE_PROPERTY) is None:
            return
        place = Place("time", now_ms - self._window_ms)
        for (stream, partition), offset in (await offsets_at(store, slots, place)).items():
            while True:
                chunk = await store.fetch(stream, partition, offset)
                for batch in chunk.batches:
                    self._note(batch)
                if chunk.next_offset == offset:
                    break
                offset = chunk.next_offset
        self._seen_at_ms = dict(sorted(self._seen_at_ms.items(), key=lambda seen: seen[1]))

    def _note(self, batch: RecordBatch) -> None:
        for record in batch.records():
            sequence = sequence_of(record.properties) if record.properties else None
            if sequence is not None:
                self._seen_at_ms[record.client, sequence] = record.arrival_ms
