"""Session states whose client is away, and all of them on disk.

A state is written by `Ingest` with the commit of what it depends on; here is what is written, how
it is read back, and when it ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from gateway.clock import Clock
from gateway.server.ingest import Ingest
from gateway.server.subscriber import Slot, Subscriber
from gateway.session import SessionState, decode_state, encode_state
from gateway.store import Put, StreamStore

LOG = logging.getLogger(__name__)
TABLE = "sessions"
SECOND_MS = 1_000


class Sessions:
    """The states that outlive their connection, by client identifier."""

    def __init__(
        self,
        clock: Clock,
        ingest: Ingest,
        subscriber_of: Callable[[str], Subscriber | None],
        positions_of: Callable[[Subscriber | None], Mapping[Slot, int]],
    ) -> None:
        self._clock = clock
        self._ingest = ingest
        self._subscriber_of = subscriber_of
        self._positions_of = positions_of
        self._states: dict[str, SessionState] = {}
        self._expires_at_ms: dict[str, int] = {}
        self._wills_at_ms: dict[str, int] = {}
        self._saved: set[str] = set()
        ingest.write_state = self._write

    def __len__(self) -> int:
        return len(self._states)

    async def load(self, store: StreamStore) -> list[SessionState]:
        """Read the states that outlived the last run; their time begins anew.

        One that can't be read is reported and stays on disk, until its client has another.
        """
        states: list[SessionState] = []
        for client_id, encoded in await store.table(TABLE).items():
            self._saved.add(client_id)
            try:
                state = decode_state(client_id, encoded)
            except ValueError as error:
                LOG.warning("the session of '%s' can't be read: %s", client_id, error)
                continue
            self.hold(state)
            states.append(state)
        return states

    def take(self, client_id: str) -> SessionState | None:
        """Hand out the state of a client that comes back; a will whose delay is over goes first."""
        self._expires_at_ms.pop(client_id, None)
        will_at_ms = self._wills_at_ms.pop(client_id, None)
        state = self._states.pop(client_id, None)
        if state and will_at_ms is not None and will_at_ms <= self._clock.monotonic_ms():
            self.publish_will(state)
        return state

    def is_over(self, client_id: str) -> bool:
        """Whether a state's time has passed, though `expire` has not come by since."""
        due_ms = self._expires_at_ms.get(client_id)
        return due_ms is not None and due_ms <= self._clock.monotonic_ms()

    def hold(self, state: SessionState) -> None:
        """Keep a state for its client's return, until it expires; its will waits for its delay."""
        now_ms = self._clock.monotonic_ms()
        client_id = state.client_id
        self._states[client_id] = state
        if state.expiry_ms is not None:
            self._expires_at_ms[client_id] = now_ms + state.expiry_ms
        if state.will is not None:
            delay_s = state.will.properties.will_delay_interval_s or 0
            self._wills_at_ms[client_id] = now_ms + delay_s * SECOND_MS

    def put(self, state: SessionState) -> None:
        """Keep a state, in memory and on disk."""
        self._ingest.save(state)
        self.hold(state)

    def save(self, state: SessionState, on_durable: Callable[[], None]) -> None:
        """Call back when the state would survive a crash; at once when it need not."""
        if state.is_kept:
            self._ingest.save(state, on_durable)
        else:
            on_durable()

    def forget(self, client_id: str) -> None:
        """Remove what is on disk of a session that has ended."""
        if client_id in self._saved:
            self._saved.discard(client_id)
            self._ingest.submit_puts([Put(TABLE, client_id, None)])

    def publish_will(self, state: SessionState) -> None:
        """Publish a will that waited, and forget it in the same commit: it fires once."""
        will, state.will = state.will, None
        if will is not None:
            self._ingest.submit_will(state.client_id, will, state if state.is_kept else None)

    def expire(self) -> list[SessionState]:
        """End the sessions and publish the wills whose time has come; returns what has ended.

        Spec: MQTT5 §4.1 [MQTT5-4.1.0-2]
        """
        now_ms = self._clock.monotonic_ms()
        for client_id in [one for one, due_ms in self._wills_at_ms.items() if due_ms <= now_ms]:
            del self._wills_at_ms[client_id]
            self.publish_will(self._states[client_id])
        ended: list[SessionState] = []
        for client_id in [one for one, due_ms in self._expires_at_ms.items() if due_ms <= now_ms]:
            state = self._states[client_id]
            state.expiry_ms = 0
            self.take(client_id)
            # A will fires when its session ends, however long its delay [MQTT5-3.1.3-9].
            self.publish_will(state)
            self.forget(client_id)
            ended.append(state)
        return ended

    def _write(self, state: SessionState, receiving: Sequence[bytes]) -> Put:
        """A state as the table keeps it, with where its client stands now.

        One that has ended since it was to be saved is removed.
        """
        if not state.is_kept:
            self._saved.discard(state.client_id)
            return Put(TABLE, state.client_id, None)
        self._saved.add(state.client_id)
        subscriber = self._subscriber_of(state.client_id)
        positions = state.positions
        if subscriber is not None or positions is None:
            positions = self._positions_of(subscriber)
        if subscriber is not None:
            state.replays = {name: dict(own) for name, own in subscriber.replays.items()}
        return Put(TABLE, state.client_id, encode_state(state, positions, receiving))
