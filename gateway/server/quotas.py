"""How much one client or device may publish, and what happens beyond that.

A quota belongs to a client identifier, not to a connection: reconnecting does not pay a debt. One
that the registry or a profile gives belongs to a device, by whatever clients it publishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, Protocol

from gateway.clock import Clock
from gateway.devices import DeviceQuota
from gateway.errors import MqttError
from gateway.metrics import Counters
from gateway.mqtt import ProtocolVersion, ReasonCode
from gateway.server.options import QuotaOptions
from gateway.server.permits import Intake, Permit
from gateway.server.token_bucket import MS_PER_S, TokenBucket
from gateway.session import AppendRefused, PublishBatch, Session

KEPT_MAX = 10_000
WAIT_MS_MAX = 1_000
TOO_MUCH = "more messages or bytes than the quota of this client or device allows"
Key = tuple[Literal["client", "device"], str]


class QuotaExceeded(MqttError):
    """A client published more than it may, and its version or QoS has no gentler answer."""

    def __init__(self) -> None:
        super().__init__(TOO_MUCH, ReasonCode.MESSAGE_RATE_TOO_HIGH)


class Usage(NamedTuple):
    """What was published under a quota since somebody came who has it."""

    messages: int = 0
    bytes: int = 0
    dropped: int = 0
    refused: int = 0
    throttles: int = 0
    is_waiting: bool = False


class Quota:
    """What one client may publish: messages and bytes of topics and payloads, each a bucket."""

    def __init__(self, options: QuotaOptions, now_ms: int) -> None:
        self.options = options
        self.users = 0
        self.messages = self.bytes = 0
        self.dropped = self.refused = self.throttles = 0
        rates = (options.messages_per_s, options.bytes_per_s)
        self._buckets = [
            TokenBucket(rate, rate * options.burst_ms // MS_PER_S, now_ms) if rate else None
            for rate in rates
        ]

    def _amounts(self, count: int, size_bytes: int) -> Iterator[tuple[TokenBucket, int]]:
        for bucket, amount in zip(self._buckets, (count, size_bytes), strict=True):
            if bucket is not None:
                yield bucket, amount

    def spend(self, count: int, size_bytes: int, now_ms: int) -> None:
        """Take what has arrived; there may be a debt afterwards."""
        self.messages += count
        self.bytes += size_bytes
        for bucket, amount in self._amounts(count, size_bytes):
            bucket.spend(amount, now_ms)

    def can_pay(self, count: int, size_bytes: int, now_ms: int) -> bool:
        """Whether all of it is within the quota."""
        return all(
            bucket.has(amount, now_ms) for bucket, amount in self._amounts(count, size_bytes)
        )

    def can_begin(self, now_ms: int) -> bool:
        """Whether one more message is: one larger than every burst goes through, into debt."""
        return self.can_pay(1, 1, now_ms)

    def wait_ms(self, now_ms: int) -> int:
        """How long until there is no debt."""
        return max(bucket.wait_ms(now_ms) for bucket, _ in self._amounts(0, 0))

    def is_full(self, now_ms: int) -> bool:
        """Whether there is nothing to remember of the client."""
        return all(bucket.is_full(now_ms) for bucket, _ in self._amounts(0, 0))


class Publisher(Protocol):
    """The connection of a client that has a quota."""

    @property
    def session(self) -> Session: ...

    @property
    def permit(self) -> Permit | None: ...

    quota: Intake | None

    def perform(self, incoming: AppendRefused) -> None: ...

    def fail(self, error: MqttError) -> None: ...

    def throttle(self, *, is_throttled: bool) -> None:
        """Read nothing more from the client, or read again."""
        ...


class Throttle:
    """One connection's use of its client's quota."""

    def __init__(self, quotas: Quotas, quota: Quota, key: Key, publisher: Publisher) -> None:
        self._quotas = quotas
        self._quota = quota
        self._key = key
        quota.users += 1
        self._publisher = publisher
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def submit(self, batch: PublishBatch, submit: Callable[[PublishBatch], None]) -> None:
        """Submit what the quota allows of a batch; slow, refuse or drop the rest, by policy."""
        sizes = [
            len(topic) + len(own) for topic, own in zip(batch.topics, batch.payloads, strict=True)
        ]
        now_ms = self._quotas.clock.monotonic_ms()
        beyond = self._quota.options.beyond
        total = sum(sizes)
        # Without a message there are identifiers all the same: of what is repeated, or underway.
        if not sizes or beyond == "slow" or self._quota.can_pay(len(sizes), total, now_ms):
            self._quota.spend(len(sizes), total, now_ms)
            submit(batch)
        else:
            self._submit_part(batch, sizes, submit, now_ms)
        self.wait()

    def _submit_part(
        self,
        batch: PublishBatch,
        sizes: Sequence[int],
        submit: Callable[[PublishBatch], None],
        now_ms: int,
    ) -> None:
        is_dropping = self._quota.options.beyond == "drop"
        accepted: list[int] = []
        refused: list[int] = []
        for index, size_bytes in enumerate(sizes):
            is_acknowledged = bool(batch.flags[index] >> 1 & 0x03)
            if self._quota.can_begin(now_ms) or (is_dropping and is_acknowledged):
                self._quota.spend(1, size_bytes, now_ms)
                accepted.append(index)
            else:
                refused.append(index)
        if accepted:
            submit(part_of(batch, accepted))
        if is_dropping:
            self._quotas.counters.quota_dropped += len(refused)
            self._quota.dropped += len(refused)
        elif refused:
            self._refuse(part_of(batch, refused))

    def _refuse(self, batch: PublishBatch) -> None:
        """Say that messages are not taken: to each that can be told so, else to the connection."""
        self._quotas.counters.quota_refused += len(batch.topics)
        self._quota.refused += len(batch.topics)
        can_tell = self._publisher.session.version >= ProtocolVersion.V5
        ids = len(batch.packet_ids) + len(batch.received_ids)
        if can_tell and ids:
            ids_refused = batch.packet_ids, batch.received_ids
            self._publisher.perform(
                AppendRefused(*ids_refused, ReasonCode.QUOTA_EXCEEDED, TOO_MUCH)
            )
        if not can_tell or ids < len(batch.topics):
            self._publisher.fail(QuotaExceeded())

    def wait(self) -> None:
        """Read nothing until the debt is paid."""
        wait_ms = 0 if self._is_over else self._quota.wait_ms(self._quotas.clock.monotonic_ms())
        if not wait_ms:
            return
        if self._timer is None:
            self._quotas.counters.throttles += 1
            self._quota.throttles += 1
            self._quotas.waiting.add(self)
            self._publisher.throttle(is_throttled=True)
        else:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(wait_ms, WAIT_MS_MAX) / MS_PER_S, self._look)

    def _look(self) -> None:
        if self._quota.wait_ms(self._quotas.clock.monotonic_ms()):
            self.wait()
            return
        self._stop()
        self._publisher.throttle(is_throttled=False)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._quotas.waiting.discard(self)

    def close(self) -> None:
        """The connection is over; what its client owes is remembered."""
        self._is_over = True
        self._stop()
        self._quota.users -= 1
        self._quotas.keep(self._key, self._quota)


class Quotas:
    """The throttles of new connections, and what clients that have left still owe."""

    def __init__(self, options: QuotaOptions, clock: Clock, counters: Counters) -> None:
        self.options = options
        self.clock = clock
        self.counters = counters
        self.waiting: set[Throttle] = set()
        self._used: dict[Key, Quota] = {}
        # Whoever left first is first.
        self._kept: dict[Key, Quota] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def throttle(self, client_id: str, publisher: Publisher) -> Intake | None:
        """What a new connection of a client must go through; None when nothing is limited."""
        key: Key = ("client", client_id)
        options = self.options
        permit = publisher.permit
        if permit is not None:
            if permit.intake is not None:
                return permit.intake
            if limits_publishing(permit.limits):
                key = ("device", permit.device.id)
                options = within(permit.limits, options)
        if not (options.messages_per_s or options.bytes_per_s):
            return None
        quota = self._used.get(key) or self._kept.pop(key, None)
        if quota is None or quota.options != options:
            quota = Quota(options, self.clock.monotonic_ms())
        self._used[key] = quota
        throttle = Throttle(self, quota, key, publisher)
        throttle.wait()
        return throttle

    def release(self, publisher: Publisher) -> None:
        """A connection is over."""
        if publisher.quota is not None:
            publisher.quota.close()

    def renew(self, publisher: Publisher) -> None:
        """Let a connection go through what its permit says by now."""
        if publisher.quota is not None:
            publisher.quota.close()
            publisher.throttle(is_throttled=False)
        publisher.quota = self.throttle(publisher.session.client_id, publisher)

    def keep(self, key: Key, quota: Quota) -> None:
        """Remember the quota of a client or device whose last connection ends, unless untouched."""
        if quota.users or self._used.get(key) is not quota:
            return
        del self._used[key]
        if not quota.is_full(self.clock.monotonic_ms()):
            self._kept[key] = quota
            if len(self._kept) > KEPT_MAX:
                del self._kept[next(iter(self._kept))]

    def usage_of(self, device_id: str) -> Usage:
        """What a device has published under a quota of its own; nothing without one."""
        key: Key = ("device", device_id)
        quota = self._used.get(key) or self._kept.get(key)
        if quota is None:
            return Usage()
        is_waiting = quota.wait_ms(self.clock.monotonic_ms()) > 0
        counts = (quota.messages, quota.bytes, quota.dropped, quota.refused, quota.throttles)
        return Usage(*counts, is_waiting)

    @property
    def devices(self) -> int:
        """How many devices are here that have a quota of their own."""
        return sum(kind == "device" for kind, _ in self._used)

    def sweep(self) -> None:
        """Forget quotas that have filled up; called about once a second."""
        now_ms = self.clock.monotonic_ms()
        full = [one for one, quota in self._kept.items() if quota.is_full(now_ms)]
        for key in full:
            del self._kept[key]


def limits_publishing(limits: DeviceQuota) -> bool:
    """Whether a quota says anything of messages."""
    own = (limits.messages_per_s, limits.bytes_per_s, limits.beyond)
    return any(one is not None for one in own)


def within(limits: DeviceQuota, options: QuotaOptions) -> QuotaOptions:
    """The options of a device's own quota: what it doesn't say is as for any client."""
    messages, size = limits.messages_per_s, limits.bytes_per_s
    return replace(
        options,
        messages_per_s=options.messages_per_s if messages is None else messages,
        bytes_per_s=options.bytes_per_s if size is None else size,
        beyond=limits.beyond or options.beyond,
    )


def part_of(batch: PublishBatch, indexes: Sequence[int]) -> PublishBatch:
    """The packets of a batch with these indexes, and their identifiers alone."""
    packet_ids, received_ids = iter(batch.packet_ids), iter(batch.received_ids)
    wanted = set(indexes)
    kept_packet_ids: list[bytes] = []
    kept_received_ids: list[bytes] = []
    for index, flags in enumerate(batch.flags):
        qos = flags >> 1 & 0x03
        if qos:
            packet_id = next(packet_ids if qos == 1 else received_ids)
            if index in wanted:
                (kept_packet_ids if qos == 1 else kept_received_ids).append(packet_id)
    part = batch.only(indexes)
    return PublishBatch(
        part.topics,
        part.payloads,
        part.flags,
        kept_packet_ids,
        part.properties,
        kept_received_ids,
        part.wants_receipts,
    )
