"""Looks at a running server and says every figure of it."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.metrics import Reading
from gateway.routing import RetainedMessages
from gateway.server.hub import Hub
from gateway.server.listeners.listeners import Listeners
from gateway.server.subscriber import Subscriber

STATM = Path("/proc/self/statm")
RESIDENT_FIELD = 1
# Linux counts in KiB what others count in bytes.
PEAK_UNIT_BYTES = 1 if sys.platform == "darwin" else 1_024


class Readings:
    """Takes readings of one server; `begin` when it starts.

    A look costs about a millisecond for some thousand clients, so it is for every few seconds.
    """

    def __init__(
        self, hub: Hub, listeners: Listeners, retained: RetainedMessages, clock: Clock
    ) -> None:
        self._hub = hub
        self._retained = retained
        self._listeners = listeners
        self._clock = clock
        self._begun_at_ms = clock.monotonic_ms()
        self.others: dict[str, Callable[[], int]] = {}
        """Figures of what works on the log beside the server; whoever builds that adds them."""
        self.tables: list[Callable[[], Mapping[str, float]]] = []
        """Figures whose names come and go, such as those of groups."""

    def begin(self) -> None:
        """Count the uptime from now on."""
        self._begun_at_ms = self._clock.monotonic_ms()

    async def take(self) -> Reading:
        """Look at everything now; `commit_ms_max` is the longest commit of the last seconds."""
        stored, stored_bytes = await self._stored()
        hub, ingest, fanout = self._hub, self._hub.ingest, self._hub.fanout
        subscribers = [one.subscriber for one in hub.clients if one.subscriber is not None]
        handshakes = self._listeners.handshakes
        return Reading(
            hub.counters,
            uptime_s=(self._clock.monotonic_ms() - self._begun_at_ms) // 1_000,
            clients_connected=hub.connected,
            clients_disconnected=len(hub.sessions),
            connections=len(hub.connections),
            subscriptions=len(fanout.tree) + hub.shared.members,
            shared_subscriptions=hub.shared.members,
            retained=len(self._retained),
            retained_bytes=self._retained.bytes,
            publishes_sent=fanout.delivered,
            deliveries_dropped=hub.counters.deliveries_dropped
            + sum(one.delivery.dropped for one in subscribers),
            accepted=ingest.accepted,
            refused=ingest.refused,
            repeated=ingest.repeats.repeated,
            uncommitted_bytes=ingest.uncommitted_bytes,
            commit_ms=ingest.commit_ms,
            commit_ms_max=ingest.commit_ms_max.at(self._clock.monotonic_ms()),
            is_failing=ingest.is_failing,
            lag=max(map(self._lag, subscribers), default=0),
            throttled=len(hub.quotas.waiting),
            failures=hub.failures,
            connections_refused=self._listeners.connect_rate.refused,
            handshakes_refused=handshakes.refused,
            handshakes_failed=handshakes.failed,
            stored=stored,
            stored_bytes=stored_bytes,
            memory_bytes=memory_bytes(),
            memory_bytes_max=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT_BYTES,
            others=self._others(),
        )

    def _others(self) -> dict[str, float]:
        """The figures of what works on the log beside the server."""
        found: dict[str, float] = {name: figure_of() for name, figure_of in self.others.items()}
        for table in self.tables:
            found |= table()
        return found

    def _lag(self, subscriber: Subscriber) -> int:
        """How many events a subscriber has still to look at."""
        if subscriber.is_live:
            return 0
        ends = self._hub.fanout.positions
        return sum(max(0, end - subscriber.positions.get(slot, end)) for slot, end in ends.items())

    async def _stored(self) -> tuple[int | None, int | None]:
        """How many events the log holds, and their bytes on disk; None while it can't say."""
        fanout = self._hub.fanout
        try:
            extents = [
                one for name in fanout.tails.streams for one in await fanout.store.extents(name)
            ]
        except StoreError:
            return None, None
        count = sum(one.log_end_offset - one.log_start_offset for one in extents)
        return count, sum(one.stored_bytes for one in extents)


def memory_bytes() -> int | None:
    """The memory of this process that is in RAM; None where the system doesn't tell."""
    try:
        fields = STATM.read_text().split()
    except OSError:
        return None
    return int(fields[RESIDENT_FIELD]) * resource.getpagesize()
