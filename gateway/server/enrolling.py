"""Makes devices known that an enrolment group vouches for, and gives applicants their keys.

Theory of operation
-------------------
An applicant is a client that has shown a group's claim key. All that it may do is to subscribe to
`enrol/<id>/response` and to publish to `enrol/<id>/request`. What it publishes never reaches the
log, and what it hears never comes from there: its key is made, its SHA-256 is committed, and then
the key is told to this connection alone. If it never arrives, the applicant asks again and gets
another one, until somebody has come in by a key; from then on the id is the device's.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from gateway.clock import Clock
from gateway.devices import (
    DEVICES_TABLE,
    ENTROPY_BYTES,
    Device,
    EnrolmentGroup,
    EnrolmentRefused,
    GroupBook,
    Registry,
    Rights,
    check_newcomer,
    encode_device,
    key_of,
    new_key,
    newcomer,
    used,
    with_only_key,
)
from gateway.errors import ChangeRefused, StoreError
from gateway.events import Flag
from gateway.mqtt import ReasonCode, matches
from gateway.server.access_options import AccessOptions
from gateway.server.audit import Audit, Incident
from gateway.server.listeners.explanations import draw_retry_s
from gateway.server.permits import Proof
from gateway.server.quotas import part_of
from gateway.server.sys_tree import offer
from gateway.server.token_bucket import TokenBucket
from gateway.server.vouching import NotAdmitted, why_not_vouched
from gateway.session import Appended, AppendRefused, Grant, Outgoing, PublishBatch, Terms
from gateway.store import Change, TableDesk

if TYPE_CHECKING:
    from gateway.server.connection import Connection

HOSTS_MAX = 10_000
SECONDS_PER_MINUTE = 60
RETRY_SPREAD_S = 30
TRIES = 3
REQUEST, RESPONSE = "enrol/{}/request", "enrol/{}/response"
Reply = dict[str, Any]


class Rates:
    """How many devices may come in a minute: for each group, and for each host."""

    def __init__(self, per_host: int, clock: Clock) -> None:
        self._per_host = per_host
        self._clock = clock
        self._buckets: dict[tuple[str, str, int], TokenBucket] = {}

    def take(self, group: EnrolmentGroup, host: str) -> bool:
        """Count one more device; False if it is one too many."""
        now_ms = self._clock.monotonic_ms()
        wanted = [("group", group.id, group.per_minute), ("host", host, self._per_host)]
        buckets = [self._bucket(one, now_ms) for one in wanted]
        if not all(bucket.has(SECONDS_PER_MINUTE, now_ms) for bucket in buckets):
            return False
        for bucket in buckets:
            bucket.spend(SECONDS_PER_MINUTE, now_ms)
        return True

    def _bucket(self, key: tuple[str, str, int], now_ms: int) -> TokenBucket:
        """Earns a device's worth so many times a minute; a tenth of a minute's may come at once."""
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            per_minute = key[2]
            burst = max(SECONDS_PER_MINUTE, per_minute * SECONDS_PER_MINUTE // 10)
            bucket = TokenBucket(per_minute, burst, now_ms)
        self._buckets[key] = bucket
        if len(self._buckets) > HOSTS_MAX:
            del self._buckets[next(iter(self._buckets))]
        return bucket


class Enrolment:
    """Changes the registry for those whom a group vouches for."""

    def __init__(
        self,
        registry: Registry,
        groups: GroupBook,
        options: AccessOptions,
        clock: Clock,
        audit: Audit,
    ) -> None:
        self.registry = registry
        self.groups = groups
        self.clock = clock
        self.audit = audit
        self.tables: TableDesk | None = None
        """Where tables are changed; None while the gateway starts."""
        self.applicants: set[Applicant] = set()
        self.enrolled = 0
        self._rates = Rates(options.enrolments_per_minute_max, clock)
        self._applicants_max = options.applicants_max

    def check_room(self) -> None:
        """See that one more applicant may come.

        Raises:
            NotAdmitted: too many are here.
        """
        if len(self.applicants) >= self._applicants_max:
            raise NotAdmitted(ReasonCode.QUOTA_EXCEEDED, "too many applicants are here; try later")

    async def introduce(self, device: Device, host: str) -> None:
        """Make a newcomer known whose token or certificate a group vouches for.

        Raises:
            NotAdmitted: too many come at once, or it can't be written.
        """
        group = self.groups.get(device.group)
        if group is not None and not self.takes_one_more(group, device.id, host):
            reason = f"the group '{group.id}' takes no more at once; try later"
            raise NotAdmitted(ReasonCode.QUOTA_EXCEEDED, reason)
        try:
            await self._put(device, host)
            self.enrolled += 1
        except ChangeRefused:
            # It was registered a moment ago; what it is now decides.
            return
        except StoreError as error:
            raise not_written(error) from error

    async def note_use(self, device_id: str, host: str) -> None:
        """See that no group gives an id away any more: its device has come in by its own key.

        Raises:
            NotAdmitted: it can't be written.
        """
        for _ in range(TRIES):
            device = self.registry.get(device_id)
            if device is None or not device.is_unused:
                return
            try:
                await self._put(used(device, self.clock.now_ms()), host)
            except ChangeRefused:
                continue
            except StoreError as error:
                raise not_written(error) from error
        raise NotAdmitted(ReasonCode.SERVER_BUSY, f"'{device_id}' is being changed; try again")

    def takes_one_more(self, group: EnrolmentGroup, device_id: str, host: str) -> bool:
        """Count one more device of a group from a host; the audit tells of one too many."""
        if self._rates.take(group, host):
            return True
        reason = f"more a minute than the group '{group.id}', or one host, may enrol"
        self.audit.note(Incident("enrol-limited", device_id, host, device_id, group.id, reason))
        return False

    async def answer(self, applicant: Applicant) -> Reply:
        """What becomes of an applicant's request; a key in it has been committed."""
        for _ in range(TRIES):
            try:
                return await self._answer(applicant)
            except EnrolmentRefused as error:
                name, host = applicant.device_id, applicant.host
                incident = Incident("enrol-refused", name, host, name, applicant.proof.group)
                self.audit.note(incident._replace(reason=str(error)))
                return {"status": "refused", "reason": str(error)}
            except ChangeRefused:
                continue
            except StoreError as error:
                return {"status": "later", "reason": str(error), "retry_after_s": retry_s()}
        return {"status": "later", "reason": "it is being changed", "retry_after_s": retry_s()}

    async def _answer(self, applicant: Applicant) -> Reply:
        group = self.groups.get(applicant.proof.group)
        reason = why_not_vouched(group, applicant.proof)
        if group is None or reason:
            raise EnrolmentRefused(reason)
        device_id, host = applicant.device_id, applicant.host
        now_ms = self.clock.now_ms()
        before = check_newcomer(group, device_id, self.registry, now_ms)
        if before is not None and before.status == "pending":
            return {"status": "pending", "device": device_id}
        if not self.takes_one_more(group, device_id, host):
            return {"status": "later", "reason": "too many at once", "retry_after_s": retry_s()}
        if before is None and group.approve == "manual":
            await self._put(newcomer(group, device_id, now_ms), host)
            return {"status": "pending", "device": device_id}
        secret = new_key(secrets.token_bytes(ENTROPY_BYTES))
        key = key_of(secret, now_ms)
        if before is None:
            device = msgspec.structs.replace(newcomer(group, device_id, now_ms), keys=(key,))
        else:
            device = with_only_key(before, key, now_ms)
        await self._put(device, host)
        self.enrolled += 1
        return {"status": "enrolled", "device": device_id, "key": secret}

    async def _put(self, device: Device, host: str) -> None:
        """Change one entry.

        Raises:
            ChangeRefused: somebody else changed it meanwhile.
            StoreError: it can't be written.
        """
        if self.tables is None:
            raise StoreError("the gateway is still starting")
        before = self.registry.encoded(device.id)
        change = Change(DEVICES_TABLE, device.id, encode_device(device), before)
        await self.tables.change([change], f"group '{device.group}', for {host or 'this machine'}")


class Applicant:
    """One connection that asks for a key; stands between it and the log."""

    def __init__(
        self, enrolment: Enrolment, connection: Connection, device_id: str, proof: Proof
    ) -> None:
        self.device_id = device_id
        self.proof = proof
        self.host = connection.host
        self._enrolment = enrolment
        self._connection = connection
        self._request = REQUEST.format(device_id)
        self._response = RESPONSE.format(device_id)
        self._batches: deque[PublishBatch] = deque()
        self._work: asyncio.Task[None] | None = None
        self._is_waiting = False
        enrolment.applicants.add(self)

    @property
    def rights(self) -> Rights:
        """All that it may do."""
        return Rights((self._request,), (self._response,))

    def submit(self, batch: PublishBatch, _: Callable[[PublishBatch], None]) -> None:
        """Take requests; what else it publishes is refused. Nothing is read until all is answered.

        Acknowledgements leave in the order of the messages, so each batch waits for its turn.
        """
        self._batches.append(batch)
        self._begin()

    def look_again(self, device: Device | None) -> str:
        """Go on with a request that waited for approval; returns why it is hopeless, if it is."""
        if device is None:
            return ""
        if device.group != self.proof.group or not device.is_unused:
            return f"'{device.id}' is registered already"
        if device.status == "disabled":
            return f"'{device.id}' was denied"
        if self._is_waiting and device.status == "active":
            self._is_waiting = False
            self._batches.append(PublishBatch([self._request.encode()], [b""], [0], ()))
            self._begin()
        return ""

    def close(self) -> None:
        """The connection is over."""
        self._enrolment.applicants.discard(self)
        if self._work is not None:
            self._work.cancel()

    def _begin(self) -> None:
        if self._work is None or self._work.done():
            self._connection.throttle(is_throttled=True)
            self._work = asyncio.ensure_future(self._answer_all())

    async def _answer_all(self) -> None:
        while self._batches:
            for part, is_request in self._parts(self._batches.popleft()):
                await self._answer(part, is_request=is_request)
        self._connection.throttle(is_throttled=False)

    def _parts(self, batch: PublishBatch) -> list[tuple[PublishBatch, bool]]:
        """The requests in a batch and what is none, as runs in their order."""
        request = self._request.encode()
        are_requests = [topic == request for topic in batch.topics]
        if len(set(are_requests)) <= 1:
            return [(batch, all(are_requests))]
        turns = pairwise(are_requests)
        cuts = [0, *(at for at, (one, next_one) in enumerate(turns, 1) if one != next_one)]
        stops = [*cuts[1:], len(are_requests)]
        return [
            (part_of(batch, range(start, stop)), are_requests[start])
            for start, stop in zip(cuts, stops, strict=True)
        ]

    async def _answer(self, batch: PublishBatch, *, is_request: bool) -> None:
        grants = self._grants()
        reason = f"subscribe to '{self._response}' before you ask"
        if not is_request:
            reason = f"who enrols may publish to '{self._request}' alone"
            name = self.device_id
            self._enrolment.audit.note(Incident("publish-denied", name, self.host, name))
        if not (grants and is_request):
            ids = batch.packet_ids, batch.received_ids
            self._connection.perform(AppendRefused(*ids, ReasonCode.NOT_AUTHORIZED, reason))
            return
        reply = await self._enrolment.answer(self)
        self._is_waiting = reply["status"] == "pending"
        self._tell(reply)
        self._connection.perform(Appended(batch.packet_ids, batch.received_ids))

    def _grants(self) -> list[Grant]:
        """The subscriptions that an answer is for."""
        subscriber = self._connection.subscriber
        grants = [] if subscriber is None else subscriber.state.grants_by_filter.values()
        return [one for one in grants if matches(one.topic_filter, self._response)]

    def _tell(self, reply: Reply) -> None:
        subscriber, grants = self._connection.subscriber, self._grants()
        if subscriber is not None and grants:
            now_ms = self._enrolment.clock.now_ms()
            topic, payload = self._response.encode(), orjson.dumps(reply)
            message = Outgoing(topic, payload, Flag(0), b"", now_ms)
            offer(subscriber, message, Terms.of(grants))
            subscriber.flush()


def retry_s() -> int:
    """When to ask again, for each another time."""
    return draw_retry_s(RETRY_SPREAD_S)


def not_written(error: StoreError) -> NotAdmitted:
    """The refusal of somebody who can't be made known at present."""
    return NotAdmitted(ReasonCode.SERVER_UNAVAILABLE, f"the registry can't be written: {error}")
