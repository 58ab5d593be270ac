"""The gate: who gets in, what each may do, and whom a change of the registry sends away.

Theory of operation
-------------------
The registry is a table of the log; here is its copy in memory, kept by `TableDesk`, which tells of
every change after its commit. `ask` decides a CONNECT at once where it can. Where it can't, because
a password is verified in a thread or because a guesser waits for its refusal, it returns None and
`decide` is called later. Until somebody has credentials and the configuration says nothing, the
gate is open: every client gets in without a permit, and nothing is looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.clock import Clock
from gateway.devices import (
    DEVICES_TABLE,
    GROUPS_TABLE,
    Device,
    DeviceInvalid,
    DeviceQuota,
    GroupBook,
    ProfileBook,
    Registry,
    Rights,
    rights_of,
)
from gateway.mqtt import ReasonCode
from gateway.routing import Route
from gateway.server.access_options import AccessOptions
from gateway.server.audit import Audit, Incident
from gateway.server.certificates import certificate_of
from gateway.server.enrolling import Applicant, Enrolment
from gateway.server.guessing import Guesses
from gateway.server.identifying import Identifier, check_admitted
from gateway.server.listeners.addresses import is_loopback
from gateway.server.passwords import PasswordDesk
from gateway.server.permits import CLAIM, Permit, Proof
from gateway.server.presence import Presence
from gateway.server.registry_audit import accompany_edits
from gateway.server.token_ends import TokenEnds
from gateway.server.vouching import (
    NotAdmitted,
    Shown,
    Vouching,
    why_not_vouched,
    why_out,
    wrong_credentials,
)
from gateway.session import ConnectRefused, Failure, OpenState, SessionState
from gateway.store import Change, StreamStore, TableDesk

if TYPE_CHECKING:
    from gateway.server.connection import Connection
    from gateway.server.ingest import Ingest

LOG = logging.getLogger(__name__)
WAITING_MAX = 1_000
MS_PER_S = 1_000
V5 = 5


class Admission(NamedTuple):
    """A client gets in; without a permit it may do everything."""

    permit: Permit | None = None


Verdict = Admission | ConnectRefused
Decide = Callable[["Connection", OpenState, Verdict], None]


class Gate:
    """Lets clients in, or not."""

    def __init__(
        self,
        options: AccessOptions,
        clock: Clock,
        ingest: Ingest,
        decide: Decide,
        restrict: Callable[[Connection], None],
    ) -> None:
        """Call `decide` for a CONNECT that took its time, `restrict` for whoever has other rights.

        What the gate has to report goes to `ingest`, whose router says where things lie.
        """
        self.options = options
        self.registry = Registry()
        self.groups = GroupBook()
        self.audit = Audit(ingest.submit_own, clock, options.audit_per_s_max)
        self.presence = Presence(ingest.submit_own, clock)
        self._restrict = restrict
        self.renew_quota: Callable[[Connection], None] = lambda _: None
        self.profiles = ProfileBook()
        self._decide = decide
        self._router = ingest.router
        ingest.route_will = self.route_will
        self._clock = clock
        vouching = Vouching(self.registry, self.groups, options, clock)
        self._identifier = Identifier(self.registry, options, vouching)
        self.enrolment = Enrolment(self.registry, self.groups, options, clock, self.audit)
        self.token_ends: TokenEnds[Connection] = TokenEnds()
        self._guesses = Guesses(
            options.failures_max, options.failures_within_ms, options.refusal_delay_ms
        )
        self._passwords = PasswordDesk()
        self._connections: dict[str, set[Connection]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._delayed = 0

    async def load(self, store: StreamStore) -> None:
        """Read the registry; an entry that can't be read is reported and lets nobody in."""
        for device_id, encoded in await store.entries(DEVICES_TABLE):
            take(self.registry, device_id, encoded)
        for name, encoded in await store.entries(GROUPS_TABLE):
            take(self.groups, name, encoded)

    def watch(self, tables: TableDesk) -> None:
        """Hear of every change of the registry, and see that the audit tells of it."""
        accompany_edits(tables, self._clock)
        tables.watch(DEVICES_TABLE, self._changed)
        tables.watch(GROUPS_TABLE, self._groups_changed)
        self.enrolment.tables = tables

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who it is."""
        return not (self.options.are_required or self.knows_somebody)

    @property
    def knows_somebody(self) -> bool:
        """Whether anybody can prove who it is, or a group may have made such devices known."""
        return self.registry.has_credentials or len(self.groups) > 0

    def connections_of(self, device_id: str) -> set[Connection]:
        """The connections of a device that have been let in."""
        return self._connections.get(device_id, set())

    # -- letting in

    def ask(self, connection: Connection, wish: OpenState) -> Verdict | None:
        """Decide about a CONNECT; None when `decide` will be called."""
        if self.is_open:
            return Admission()
        return self._judge(connection, wish)

    def _judge(self, connection: Connection, wish: OpenState) -> Verdict | None:
        try:
            shown = self._identifier.identify(wish, certificate_of(connection, self.groups))
            if shown is None:
                return self._let_anonymous_in(connection)
            if shown.proof is None:
                return self._ask_password(connection, wish, shown.device)
            changing = self._change_of(connection, shown)
            if changing is not None:
                self._start(self._judge_later(connection, wish, changing))
                return None
            return self._admit(connection, wish, shown.device, shown.proof)
        except NotAdmitted as error:
            return self._refuse(connection, wish, error)

    def _change_of(self, connection: Connection, shown: Shown) -> Awaitable[None] | None:
        """What the registry must be told before a client may come in; None if it is nothing."""
        device, proof = shown.device, shown.proof
        if shown.is_newcomer:
            return self.enrolment.introduce(device, connection.host)
        if device.is_unused and proof is not None and proof.key is not None:
            return self.enrolment.note_use(device.id, connection.host)
        return None

    async def _judge_later(
        self, connection: Connection, wish: OpenState, changing: Awaitable[None]
    ) -> None:
        """Look again at who a client is when the registry has changed for it."""
        verdict: Verdict | None
        try:
            await changing
        except NotAdmitted as error:
            verdict = self._refuse(connection, wish, error)
        else:
            verdict = self._judge(connection, wish)
        if verdict is not None:
            self._decide(connection, wish, verdict)

    def _let_anonymous_in(self, connection: Connection) -> Admission:
        allowed = self.options.anonymous
        is_wanted = allowed == "loopback" or (allowed == "auto" and not self.knows_somebody)
        if is_wanted and is_loopback(connection.host):
            return Admission()
        raise NotAdmitted(ReasonCode.NOT_AUTHORIZED, "a user name and a key are needed")

    def _admit(
        self, connection: Connection, wish: OpenState, device: Device, proof: Proof
    ) -> Admission:
        check_admitted(device, wish, connection.session.assigned_client_id, proof)
        limits = self.limits_of(device)
        self._check_connections(device.id, wish.client_id, limits)
        applicant = None
        if proof.kind == CLAIM:
            self.enrolment.check_room()
            applicant = Applicant(self.enrolment, connection, device.id, proof)
        rights = self._rights_of(device) if applicant is None else applicant.rights
        if wish.will_topic and not rights.may_write(wish.will_topic):
            reason = f"'{device.id}' may not leave a will for '{wish.will_topic}'"
            raise NotAdmitted(ReasonCode.NOT_AUTHORIZED, reason)

        def tell(kind: str, about: str) -> None:
            host = connection.host
            self.audit.note(Incident(kind, device.id, host, wish.client_id, about))

        permit = Permit(device, rights, self._router, proof, tell)
        permit.intake, permit.limits = applicant, limits
        is_mute = connection.session.version < V5
        permit.closes_on_denial = is_mute and self.options.denied_publish == "close"
        return Admission(permit)

    def _rights_of(self, device: Device) -> Rights:
        profile = self.profiles.named(device.profile) if device.profile else None
        return rights_of(device, self.options.roles, () if profile is None else profile.topics)

    def limits_of(self, device: Device) -> DeviceQuota:
        """What the registry says of a device's quota, or else its profile."""
        profile = self.profiles.named(device.profile) if device.profile else None
        return device.quota if profile is None else device.quota.over(profile.quota)

    def _check_connections(self, device_id: str, client_id: str, limits: DeviceQuota) -> None:
        """See that a device has not too many clients; one that comes back takes its own place.

        Raises:
            NotAdmitted: it has.
        """
        others = [
            one for one in self.connections_of(device_id) if one.session.client_id != client_id
        ]
        most = limits.connections_max
        if most is None:
            most = self.options.connections_per_device_max
        if len(others) >= most:
            reason = f"'{device_id}' has {most} clients, as many as a device may have"
            raise NotAdmitted(ReasonCode.QUOTA_EXCEEDED, reason)

    def _ask_password(
        self, connection: Connection, wish: OpenState, device: Device
    ) -> ConnectRefused | None:
        """Let a thread look at the password, unless this host has guessed too often."""
        if self._guesses.is_guessing(connection.host, self._clock.monotonic_ms()):
            raise wrong_credentials()
        if not self._passwords.has_room:
            return ConnectRefused(ReasonCode.SERVER_BUSY, "too many passwords to verify", 1)
        self._start(self._verify(connection, wish, device))
        return None

    async def _verify(self, connection: Connection, wish: OpenState, device: Device) -> None:
        is_right = await self._passwords.verify(device.password, wish.password or b"")
        current = self.registry.get(device.id)
        verdict: Verdict | None
        if not is_right or current is None or current.password != device.password:
            verdict = self._refuse(connection, wish, wrong_credentials())
        else:
            try:
                verdict = self._admit(connection, wish, current, Proof("password"))
            except NotAdmitted as error:
                verdict = self._refuse(connection, wish, error)
        if verdict is not None:
            self._decide(connection, wish, verdict)

    def _refuse(
        self, connection: Connection, wish: OpenState, error: NotAdmitted
    ) -> ConnectRefused | None:
        """Refuse, and report it; a guesser waits for it."""
        is_named = wish.client_id != connection.session.assigned_client_id
        name = wish.username or (wish.client_id if is_named else "")
        incident = Incident(
            "connect-refused", name, connection.host, wish.client_id, "", str(error)
        )
        self.audit.note(incident)
        refused = ConnectRefused(error.reason_code, str(error))
        if not error.is_guess:
            return refused
        failures = self._guesses.note(connection.host, self._clock.monotonic_ms())
        delay_ms = self._guesses.delay_ms(failures)
        if not delay_ms:
            return refused
        self.audit.note(incident._replace(kind="guessing", reason=f"{failures.count} failures"))
        if self._delayed >= WAITING_MAX:
            return refused
        self._delayed += 1
        self._start(self._refuse_later(connection, wish, refused, delay_ms))
        return None

    async def _refuse_later(
        self, connection: Connection, wish: OpenState, refused: ConnectRefused, delay_ms: int
    ) -> None:
        try:
            await asyncio.sleep(delay_ms / MS_PER_S)
        finally:
            self._delayed -= 1
        self._decide(connection, wish, refused)

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- who is in

    def enter(self, connection: Connection, permit: Permit | None) -> None:
        """A client has been let in."""
        connection.permit = permit
        if permit is not None:
            self._connections.setdefault(permit.device.id, set()).add(connection)
            if permit.proof.expires_ms:
                self.token_ends.put(connection, permit.proof.expires_ms)

    def begin(self, connection: Connection, state: SessionState) -> list[str]:
        """A client gets its session; returns the filters in it that it may not have any more."""
        permit = connection.permit
        if permit is not None:
            if not permit.is_applicant:
                self.presence.enter(connection, permit.device.id, state.client_id)
            return permit.refused_of(state.grants_by_filter)
        if state.client_id in self.registry:
            # Nobody has credentials: it is who it says it is.
            self.presence.enter(connection, state.client_id, state.client_id)
        return []

    def leave(self, connection: Connection) -> None:
        """A connection is over."""
        self.presence.leave(connection)
        permit, connection.permit = connection.permit, None
        if permit is not None:
            self.token_ends.discard(connection)
            if permit.intake is not None:
                permit.intake.close()
            own = self._connections.get(permit.device.id)
            if own is not None:
                own.discard(connection)
                if not own:
                    del self._connections[permit.device.id]

    def route_will(self, client_id: str, topic: str) -> Route:
        """Where a will goes, which is an event of its client's device, as all it publishes."""
        device = self.registry.get(client_id.partition("/")[0])
        if device is None or self._rights_of(device).devices == "topic":
            return self._router.route_of(topic)
        return self._router.route_of(topic, device.id)

    # -- changes

    def _changed(self, changes: Sequence[Change]) -> None:
        """Take changes of the registry over, and send away whom they shut out."""
        for change in changes:
            take(self.registry, change.key, change.value)
            connections = list(self.connections_of(change.key))
            if connections:
                device = self.registry.get(change.key)
                for connection in connections:
                    self._look_again(connection, device)

    def _groups_changed(self, changes: Sequence[Change]) -> None:
        """Take changes of groups over, and send away whom they vouch for no more."""
        for change in changes:
            take(self.groups, change.key, change.value)
        names = {change.key for change in changes}
        for connection in [one for own in self._connections.values() for one in own]:
            permit = connection.permit
            if permit is not None and permit.proof.group in names:
                reason = why_not_vouched(self.groups.get(permit.proof.group), permit.proof)
                if reason:
                    self.send_away(connection, reason)

    def _look_again(self, connection: Connection, device: Device | None) -> None:
        permit = connection.permit
        if permit is None:
            return
        if isinstance(permit.intake, Applicant):
            reason = permit.intake.look_again(device)
            if reason:
                self.send_away(connection, reason)
            return
        reason = why_out(device, permit.proof)
        if device is None or reason:
            self.send_away(connection, reason)
            return
        rights, limits = self._rights_of(device), self.limits_of(device)
        is_other = rights != permit.rights
        permit.renew(device, rights)
        if is_other:
            self._restrict(connection)
        if limits != permit.limits:
            permit.limits = limits
            self.renew_quota(connection)

    def look_again_at_all(self) -> None:
        """Let everybody here have what registry and profiles say by now."""
        for device_id, connections in list(self._connections.items()):
            device = self.registry.get(device_id)
            for connection in list(connections):
                self._look_again(connection, device)

    def send_away(self, connection: Connection, reason: str) -> None:
        """End a connection whose client may not be here any more."""
        permit = connection.permit
        name = "" if permit is None else permit.device.id
        self.audit.note(
            Incident("cut", name, connection.host, connection.session.client_id, "", reason)
        )
        connection.perform(Failure(ReasonCode.ADMINISTRATIVE_ACTION, 0, reason))

    def sweep(self) -> None:
        """Forget who has guessed long ago, end what was for a time; called about once a second."""
        self._guesses.sweep(self._clock.monotonic_ms())
        for connection in self.token_ends.due(self._clock.now_ms()):
            self.send_away(connection, "the token has expired")

    def stop(self) -> None:
        """Nobody waits any more, and nobody stays."""
        self.presence.stop()
        for task in self._tasks:
            task.cancel()


def take(entries: Registry | GroupBook, name: str, encoded: bytes | None) -> None:
    """Take an entry over as it is in the table; one that can't be read is reported."""
    try:
        entries.put(name, encoded)
    except DeviceInvalid as error:
        LOG.warning("'%s': %s", name, error)
