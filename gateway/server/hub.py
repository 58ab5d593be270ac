"""All clients together: who is connected, and whose session lives on.

Theory of operation
-------------------
`open` is where a client becomes *the* client of its identifier: an earlier connection is told
`TakenOver` and hands its state back through `keep` before the new one gets it. `attach` makes the
connection a subscriber: first what an earlier connection left unacknowledged is sent again, then
the log is read on from where that one stood, then it is at the tail. A sweep once a second looks at
keep-alives, half-sent packets, sockets that never said CONNECT, and sessions whose time is over: no
timer per client.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Collection, Mapping, Sequence

from gateway.clock import Clock
from gateway.errors import MqttError, StoreError
from gateway.mqtt import ReasonCode, Will
from gateway.server.access import Gate, Verdict
from gateway.server.address_limit import SPARE_CONNECTIONS, AddressLimit
from gateway.server.connection import Connection
from gateway.server.fanout import Fanout
from gateway.server.ingest import Ingest
from gateway.server.listeners.addresses import host_of
from gateway.server.listeners.explanations import draw_retry_s
from gateway.server.options import ServerOptions
from gateway.server.patience import Patience, UnansweredPublishes
from gateway.server.quotas import Quotas
from gateway.server.replaying import replay
from gateway.server.sessions import Sessions
from gateway.server.sharing import SharedGroups
from gateway.server.subscriber import Slot, Subscriber
from gateway.server.sys_tree import SysTree, of_sys
from gateway.server.takeovers import Takeovers
from gateway.server.turnstile import Turnstile
from gateway.session import (
    ConnectRefused,
    Grant,
    Opened,
    OpenState,
    Phase,
    ServerStopping,
    SessionState,
    TakenOver,
)
from gateway.store import StreamStore

LOG = logging.getLogger(__name__)
SPARE_CONNECTIONS_MIN = 16
RETRY_SPREAD_S = 30


class Hub:
    """The clients of one gateway."""

    def __init__(
        self, options: ServerOptions, clock: Clock, ingest: Ingest, fanout: Fanout
    ) -> None:
        self.options = options
        self.counters = ingest.counters
        self.clock = clock
        self.ingest = ingest
        self.fanout = fanout
        self._connections: set[Connection] = set()
        self._connections_by_client_id: dict[str, Connection] = {}
        self.sessions = Sessions(clock, ingest, self._subscriber_of, self._positions_of)
        self.shared = SharedGroups(fanout, is_ordered=options.shared_order == "ordered")
        self.quotas = Quotas(options.quota, clock, ingest.counters)
        self.takeovers = Takeovers(options.flapping, clock, self._admit, self._refuse)
        self.addresses = AddressLimit(options.connections_per_address_max)
        self.gate = Gate(options.access, clock, ingest, self._go_on, self._restrict)
        self.gate.renew_quota = self.quotas.renew
        self._patience = Patience(options)
        self.sys: SysTree | None = None
        self.turnstile = Turnstile(clock)
        self.is_stopping = False
        self.failures = 0
        ingest.on_recovered = self._send_back_the_unanswered

    @property
    def connected(self) -> int:
        """How many clients have been accepted and are still here."""
        return len(self._connections_by_client_id)

    @property
    def connections(self) -> Collection[Connection]:
        """Every network connection, also those that have not said CONNECT."""
        return self._connections

    @property
    def clients(self) -> Collection[Connection]:
        """The connections of the clients that have been accepted."""
        return self._connections_by_client_id.values()

    def assign_client_id(self) -> str:
        """Make up an identifier for a client that has none [MQTT5-3.1.3-7] [MQTT311-3.1.3-6]."""
        return f"auto-{uuid.uuid4().hex}"

    def add(self, connection: Connection) -> None:
        """Take note of a new network connection."""
        connection.opened_at_ms = connection.heard_at_ms = self.clock.monotonic_ms()
        self._connections.add(connection)
        self.counters.connections_opened += 1
        self._locate(connection)
        if self.addresses.is_beyond(connection.host, spare=SPARE_CONNECTIONS):
            connection.abort()
        # Some room above the limit, so that the clients just beyond it are told why.
        room = max(SPARE_CONNECTIONS_MIN, self.options.connections_max // 4)
        if self.is_stopping or len(self._connections) > self.options.connections_max + room:
            connection.abort()

    def discard(self, connection: Connection) -> None:
        """Forget a network connection that is gone."""
        self._connections.discard(connection)
        self.takeovers.forget(connection)
        self.gate.leave(connection)
        self.addresses.leave(connection.host)

    def note_failure(self, connection: Connection, error: MqttError) -> None:
        """Count a client that broke a rule; the log says which and how."""
        self.failures += 1
        client_id = connection.session.client_id
        name = f"'{client_id}'" if client_id else "a client that did not connect"
        LOG.info("closing %s at %s: %s", name, connection.peer, error)

    # -- effects of sessions

    def open(self, connection: Connection, wish: OpenState) -> Opened | ConnectRefused | None:
        """Let a client in, or not; None when it waits for that."""
        self._locate(connection)
        if self.addresses.is_beyond(connection.host):
            reason = "your address has as many connections as it may have"
            return self._refuse(ReasonCode.QUOTA_EXCEEDED, reason)
        verdict = self.gate.ask(connection, wish)
        return None if verdict is None else self._settle(connection, wish, verdict)

    def _go_on(self, connection: Connection, wish: OpenState, verdict: Verdict) -> None:
        """Answer a CONNECT whose credentials took their time."""
        if connection.session.phase is Phase.OPENING:
            answer = self._settle(connection, wish, verdict)
            if answer is not None:
                connection.answer(answer)

    def _settle(
        self, connection: Connection, wish: OpenState, verdict: Verdict
    ) -> Opened | ConnectRefused | None:
        """Let somebody in who is known, or not; None when others fight over its identifier."""
        if isinstance(verdict, ConnectRefused):
            self.counters.clients_refused += 1
            return verdict
        self.gate.enter(connection, verdict.permit)
        earlier = self._connections_by_client_id.get(wish.client_id)
        if earlier is not None and self.takeovers.is_contested(wish.client_id):
            return self.takeovers.let_wait(connection, wish)
        return self._admit(connection, wish)

    def _refuse(self, reason_code: ReasonCode, reason: str) -> ConnectRefused:
        """Send a client away, to come back later."""
        self.counters.clients_refused += 1
        return ConnectRefused(reason_code, reason, draw_retry_s(RETRY_SPREAD_S))

    def _locate(self, connection: Connection) -> None:
        """Count a connection for its host; a balancer announces the host after the connection."""
        self.addresses.leave(connection.host)
        connection.host = "" if connection.transport is None else host_of(connection.transport)
        self.addresses.enter(connection.host)

    def _admit(self, connection: Connection, wish: OpenState) -> Opened | ConnectRefused:
        """Find or make the state of a client, after ending any other connection of it.

        Spec: MQTT5 §3.1.2.4 [MQTT5-3.1.2-4] [MQTT5-3.1.2-5] [MQTT5-3.1.2-6] [MQTT5-3.1.3-2]
        [MQTT5-3.1.4-3] [MQTT5-3.1.4-4], MQTT311 §3.1.2.4 [MQTT311-3.1.2-6] [MQTT311-3.1.3-2]
        [MQTT311-3.1.4-2] [MQTT311-3.1.4-3]
        """
        earlier = self._connections_by_client_id.get(wish.client_id)
        if earlier is not None:
            self.counters.takeovers += 1
            self.takeovers.note(wish.client_id, earlier, connection)
            earlier.perform(TakenOver())
        elif len(self._connections_by_client_id) >= self.options.connections_max:
            return self._refuse(ReasonCode.SERVER_BUSY, "as many clients as there may be are here")
        # Nobody comes back to a session whose time is over, though the sweep is still to come.
        is_clean = wish.is_clean or self.sessions.is_over(wish.client_id)
        state = self.sessions.take(wish.client_id)
        is_present = state is not None and not is_clean
        if state is None or is_clean:
            if state is not None:
                self._end(state)
            state = SessionState(wish.client_id)
        # A client that comes back in time has no will to be published [MQTT5-3.1.3-9].
        state.will = None
        state.expiry_ms = wish.expiry_ms
        self._connections_by_client_id[wish.client_id] = connection
        connection.quota = self.quotas.throttle(wish.client_id, connection)
        self.counters.clients_accepted += 1
        self.counters.clients_maximum = max(self.counters.clients_maximum, self.connected)
        for topic_filter in self.gate.begin(connection, state):
            grant = state.grants_by_filter.pop(topic_filter)
            self._release(state.client_id, grant)
        permit = connection.permit
        return Opened(state, is_present, None if permit is None else permit.refusal_of)

    def _end(self, state: SessionState) -> None:
        """A session is over: its will fires, its groups lose a holder, the disk forgets it."""
        state.expiry_ms = 0
        self.sessions.publish_will(state)
        self.sessions.forget(state.client_id)
        for grant in state.grants_by_filter.values():
            self._release(state.client_id, grant)

    def _release(self, client_id: str, grant: Grant) -> None:
        if grant.is_shared:
            puts = self.shared.release(client_id, grant.topic_filter)
            if puts:
                self.ingest.submit_puts(puts)

    def attach(self, connection: Connection) -> None:
        """Make a connection that was just accepted a reader of the log."""
        held_bytes_max = self.options.outbox_bytes_max // 2
        subscriber = Subscriber(
            connection.session, connection.deliver, self.sessions.save, held_bytes_max
        )
        subscriber.abort = connection.abort
        subscriber.line = connection.writer
        subscriber.read_piece = self.fanout.read_piece
        if connection.permit is not None:
            subscriber.may_read = connection.permit.may_read
        connection.subscriber = subscriber
        state = subscriber.state
        for grant in state.grants_by_filter.values():
            self._begin(subscriber, grant, state.replays.get(grant.topic_filter), is_new=False)
        state.replays = {}
        positions, state.positions = state.positions, None
        if positions is not None and self._has_missed_something(state, positions):
            subscriber.leave_tail()
            subscriber.positions = dict(positions)
            subscriber.start(asyncio.ensure_future(self._bring_back(subscriber)))

    def _has_missed_something(self, state: SessionState, positions: Mapping[Slot, int]) -> bool:
        """Whether a session that comes back is owed anything."""
        if state.unacknowledged:
            return True
        filters = [
            grant.pattern for grant in state.grants_by_filter.values() if not grant.is_shared
        ]
        return self.fanout.latest.may_have_news(filters, positions)

    def _begin(
        self,
        subscriber: Subscriber,
        grant: Grant,
        positions: dict[Slot, int] | None = None,
        *,
        is_new: bool,
    ) -> None:
        """Deliver what a grant asks for, in its own way, instead of what it asked for before."""
        replaying = subscriber.replaying.pop(grant.topic_filter, None)
        if replaying is not None:
            replaying.cancel()
        if grant.is_shared:
            self.shared.join(subscriber, grant)
        elif grant.start and (is_new or positions is not None):
            self._replay(subscriber, grant, positions)
        else:
            self.fanout.tree.add(grant.pattern, subscriber, grant)

    async def _bring_back(self, subscriber: Subscriber) -> None:
        try:
            await self.fanout.redeliver(subscriber)
        except StoreError as error:
            LOG.warning("'%s' can't be sent what it is owed: %s", subscriber.client_id, error)
            subscriber.abort()
        else:
            self.fanout.follow(subscriber, subscriber.positions)

    def grant(self, connection: Connection, grants: Sequence[Grant]) -> None:
        """Deliver to more filters."""
        subscriber = connection.subscriber
        if subscriber is not None:
            for grant in grants:
                self._begin(subscriber, grant, is_new=True)
            if any(grant.is_shared for grant in grants):
                # A new group stands somewhere from now on: with the commit of the SUBACK.
                self.ingest.submit_puts(self.shared.changes())

    def _replay(
        self, subscriber: Subscriber, grant: Grant, positions: dict[Slot, int] | None
    ) -> None:
        """Serve a subscription history first."""
        task = asyncio.ensure_future(replay(self.fanout, subscriber, grant, positions))
        subscriber.replaying[grant.topic_filter] = task
        subscriber.start(task)

    def send_retained(self, connection: Connection, grants: Sequence[Grant]) -> None:
        """Deliver the retained messages of new subscriptions."""
        subscriber = connection.subscriber
        if subscriber is None or not grants:
            return

        def send() -> None:
            if self.sys is not None:
                self.sys.send(subscriber, of_sys(grants))
            sending = self.fanout.retained_delivery.send(subscriber, grants)
            subscriber.start(asyncio.ensure_future(sending))

        # Behind the SUBACK, which may be waiting for the same commit.
        self.sessions.save(subscriber.state, send)

    def _restrict(self, connection: Connection) -> None:
        """Take from a client what it may not have any more."""
        permit, subscriber = connection.permit, connection.subscriber
        if permit is None or subscriber is None:
            return
        subscriber.may_read = permit.may_read
        self.fanout.forget_terms()
        revoked = permit.refused_of(subscriber.state.grants_by_filter)
        for topic_filter in revoked:
            del subscriber.state.grants_by_filter[topic_filter]
        self.revoke(connection, revoked)

    def revoke(self, connection: Connection, topic_filters: Sequence[str]) -> None:
        """Deliver to these filters no more."""
        subscriber = connection.subscriber
        if subscriber is not None:
            for topic_filter in topic_filters:
                self._cease(subscriber, Grant(topic_filter, 0))
                self._begin_others(subscriber, Grant(topic_filter, 0))
                self._release(subscriber.client_id, Grant(topic_filter, 0))

    def _cease(self, subscriber: Subscriber, grant: Grant) -> None:
        """Undo what `_begin` did."""
        replaying = subscriber.replaying.pop(grant.topic_filter, None)
        if replaying is not None:
            replaying.cancel()
        if grant.is_shared:
            self.shared.leave(subscriber, grant.topic_filter)
            return
        self.fanout.tree.remove(grant.pattern, subscriber)

    def _begin_others(self, subscriber: Subscriber, ceased: Grant) -> None:
        """Deliver on by the other grants for the same topics, live or replayed to the end."""
        for grant in subscriber.state.grants_by_filter.values():
            if (
                grant.pattern == ceased.pattern
                and not (grant.is_shared or ceased.is_shared)
                and grant.topic_filter not in subscriber.replaying
            ):
                self.fanout.tree.add(grant.pattern, subscriber, grant)

    def publish_will(self, state: SessionState, will: Will) -> None:
        """Publish a will, now or after its delay.

        Spec: MQTT5 §3.1.2.5, §3.1.3.2.2 [MQTT5-3.1.2-8] [MQTT5-3.1.3-9]
        """
        if will.properties.will_delay_interval_s and state.is_kept:
            state.will = will
        else:
            self.ingest.submit_will(state.client_id, will)

    def keep(self, connection: Connection, state: SessionState) -> None:
        """Take a session's state back when its connection is over.

        Spec: MQTT5 §3.1.2.11.2 [MQTT5-3.1.2-23], MQTT311 §3.1.2.4 [MQTT311-3.1.2-5]
        """
        if self._connections_by_client_id.get(state.client_id) is connection:
            del self._connections_by_client_id[state.client_id]
        self.quotas.release(connection)
        subscriber = connection.subscriber
        connection.subscriber = None
        if subscriber is not None:
            self.counters.deliveries_dropped += subscriber.delivery.dropped
            state.positions = dict(self.fanout.positions_of(subscriber))
            state.replays = {name: dict(own) for name, own in subscriber.replays.items()}
            subscriber.leave()
            for grant in state.grants_by_filter.values():
                self._cease(subscriber, grant)
        if state.is_kept and len(self.sessions) < self.options.sessions_max:
            self.sessions.put(state)
        else:
            self._end(state)

    def _subscriber_of(self, client_id: str) -> Subscriber | None:
        connection = self._connections_by_client_id.get(client_id)
        return None if connection is None else connection.subscriber

    def _positions_of(self, subscriber: Subscriber | None) -> Mapping[Slot, int]:
        if subscriber is None:
            return self.fanout.positions
        return self.fanout.positions_of(subscriber)

    async def load(self, store: StreamStore) -> None:
        """Read what outlived the last run: groups, then the sessions that hold them."""
        await self.gate.load(store)
        await self.shared.load(store)
        for state in await self.sessions.load(store):
            for grant in state.grants_by_filter.values():
                if grant.is_shared:
                    self.shared.hold(state.client_id, grant.topic_filter)

    # -- time

    def sweep(self) -> None:
        """Look after everything that has a time limit; called about once a second."""
        now_ms = self.clock.monotonic_ms()
        for connection in list(self._connections):
            self._patience.check(connection, now_ms)
        self.quotas.sweep()
        self.gate.sweep()
        self.takeovers.sweep()
        for state in self.sessions.expire():
            self.counters.sessions_expired += 1
            for grant in state.grants_by_filter.values():
                self._release(state.client_id, grant)
        puts = self.shared.changes()
        if puts:
            self.ingest.submit_puts(puts)
        for connection in self._connections_by_client_id.values():
            subscriber = connection.subscriber
            if subscriber is not None and subscriber.is_dirty and subscriber.state.is_kept:
                subscriber.is_dirty = False
                self.ingest.save(subscriber.state)

    def _send_back_the_unanswered(self) -> None:
        """Close clients of 3.1.1 that were refused in silence: they come back and send again.

        Spec: MQTT311 §4.4 [MQTT311-4.4.0-1]
        """
        for connection in list(self.clients):
            if connection.unanswered_since_ms is not None:
                connection.fail(UnansweredPublishes())

    def pause(self) -> None:
        """Read nothing more from anyone: what has arrived is all there will be."""
        self.is_stopping = True
        for connection in self._connections:
            connection.pause()

    def stop(self) -> None:
        """Send every client away; new ones are not accepted any more."""
        self.gate.stop()
        for connection in list(self._connections):
            connection.perform(ServerStopping())
            connection.close()
        puts = self.shared.changes()
        if puts:
            self.ingest.submit_puts(puts)
