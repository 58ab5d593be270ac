"""Idempotent publishing: a message that carries `penstock-seq` is stored once within a window.

The window is durable without a byte of its own: sequence numbers lie in the log with their
messages, and are read back from there at start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

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


class Window:
    """Which sequence numbers have been seen lately, oldest first.

    What is older than `window_ms`, or beyond `count_max`, is forgotten.
    """

    def __init__(self, window_ms: int, count_max: int) -> None:
        self.window_ms = window_ms
        self._count_max = count_max
        self._seen_at_ms: dict[Identity, int] = {}

    def __len__(self) -> int:
        return len(self._seen_at_ms)

    def take(self, identity: Identity, now_ms: int) -> bool:
        """Note a message; True when it is new."""
        self._prune(now_ms)
        if identity in self._seen_at_ms:
            return False
        self._seen_at_ms[identity] = now_ms
        return True

    def forget(self, identities: Iterable[Identity]) -> None:
        """Take messages back that were not stored after all."""
        for identity in identities:
            self._seen_at_ms.pop(identity, None)

    def note(self, batch: RecordBatch) -> None:
        """Take in what a batch of the log has."""
        for record in batch.records():
            sequence = sequence_of(record.properties) if record.properties else None
            if sequence is not None:
                self._seen_at_ms[record.client, sequence] = record.arrival_ms

    def sort(self) -> None:
        """Put what was noted in any order into the order of its times."""
        self._seen_at_ms = dict(sorted(self._seen_at_ms.items(), key=lambda seen: seen[1]))

    def _prune(self, now_ms: int) -> None:
        seen = self._seen_at_ms
        while seen:
            oldest = next(iter(seen))
            if len(seen) < self._count_max and now_ms - seen[oldest] < self.window_ms:
                return
            del seen[oldest]


class Repeats:
    """Which sequence numbers have been seen lately; a repeat of others is stored again.

    Streams named in `windows_ms` have a window of their own, all others have one together.
    """

    def __init__(
        self,
        window_ms: int,
        windows_ms: Mapping[str, int] | None = None,
        *,
        count_max: int = 100_000,
    ) -> None:
        self._common = Window(window_ms, count_max)
        self._own = {name: Window(own, count_max) for name, own in (windows_ms or {}).items()}
        self.repeated = 0

    def __len__(self) -> int:
        return sum(map(len, (self._common, *self._own.values())))

    def take(self, identity: Identity, now_ms: int, stream: str = "") -> bool:
        """Note a message for a stream; True when it is new."""
        is_new = self._own.get(stream, self._common).take(identity, now_ms)
        self.repeated += not is_new
        return is_new

    def forget(self, identities: Collection[Identity]) -> None:
        """Take messages back that were not stored after all."""
        for window in (self._common, *self._own.values()):
            window.forget(identities)

    async def load(self, store: StreamStore, slots: Iterable[tuple[str, int]], now_ms: int) -> None:
        """Read the windows back from the log, if this log has ever held a sequence number."""
        if await store.table(TABLE).get(SEQUENCE_PROPERTY) is None:
            return
        for key in slots:
            window = self._own.get(key[0], self._common)
            place = Place("time", now_ms - window.window_ms)
            offset = (await offsets_at(store, [key], place))[key]
            while True:
                chunk = await store.fetch(*key, offset)
                for batch in chunk.batches:
                    window.note(batch)
                if chunk.next_offset == offset:
                    break
                offset = chunk.next_offset
        for window in (self._common, *self._own.values()):
            window.sort()
