"""What one connection may do: who it is, its rights, and the topics that it has published to.

A topic is looked at once for each client and then found in a table, as the router does it for all:
a message of a client with rights costs one look-up, as that of one without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.devices import NO_QUOTA, Device, Key, Rights
from gateway.errors import MqttError
from gateway.mqtt import ReasonCode
from gateway.routing import Route, Router, TopicRefused
from gateway.session import PublishBatch

TOPICS_MAX = 1_000
TOPIC_BYTES_MAX = 256 << 10
CLAIM = "claim"


@dataclass(frozen=True, slots=True)
class Proof:
    """How a client has shown who it is: `key`, `password`, `certificate`, `token` or `claim`.

    `group` is the enrolment group that vouches for it, if any, and `sign` the SHA-256 of the
    group's key or authority. A token counts until `expires_ms`.
    """

    kind: str
    key: Key | None = None
    group: str = ""
    sign: bytes = b""
    expires_ms: int = 0


class Intake(Protocol):
    """What stands between a connection and the log."""

    def submit(self, batch: PublishBatch, submit: Callable[[PublishBatch], None]) -> None:
        """Take a batch, and hand on by `submit` what the log is to have of it."""
        ...

    def close(self) -> None:
        """The connection is over."""
        ...


class PublishDenied(MqttError):
    """A client published where it may not, and is not to stay."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, ReasonCode.NOT_AUTHORIZED)


class Permit:
    """The rights of one connection of a device, person or service."""

    def __init__(
        self,
        device: Device,
        rights: Rights,
        router: Router,
        proof: Proof,
        tell: Callable[[str, str], None],
    ) -> None:
        """Allow what `rights` say; `tell` hears once what kind of denial there was, and of what."""
        self.device = device
        self.rights = rights
        self.proof = proof
        self.closes_on_denial = False
        self.limits = NO_QUOTA
        self.intake: Intake | None = None
        """What takes the client's messages instead of the log, as long as it only asks for a key.
        """
        self._router = router
        self._tell = tell
        self._routes: dict[bytes, Route] = {}
        self._denials: dict[bytes, str] = {}
        self._bytes = 0

    @property
    def is_applicant(self) -> bool:
        """Whether it is no device yet, and only asks to become one."""
        return self.proof.kind == CLAIM

    def renew(self, device: Device, rights: Rights) -> None:
        """Allow what the rights say from now on."""
        self.device, self.rights = device, rights
        self._forget()

    def _forget(self) -> None:
        self._routes, self._denials, self._bytes = {}, {}, 0

    def routes_of(self, topics: Sequence[bytes]) -> list[Route]:
        """Resolve topic names, in order, as `Router.routes_of` does.

        Raises:
            MqttError: as `Router.routes_of`, or the client may not stay after such a message.
            TopicRefused: one of them is not for this client.
        """
        known = self._routes
        try:
            return [known[topic] for topic in topics]
        except KeyError:
            return [known.get(topic) or self._resolve(topic) for topic in topics]

    def _resolve(self, topic: bytes) -> Route:
        denial = self._denials.get(topic, "")
        if not denial:
            (route,) = self._router.routes_of([topic])
            name = route.origin.topic
            self._make_room(topic)
            if self.rights.may_write(name):
                if self.rights.devices == "own" and route.origin.device != self.device.id:
                    route = self._router.route_of(name, self.device.id)
                self._routes[topic] = route
                return route
            denial = self._denials[topic] = f"'{self.device.id}' may not publish to '{name}'"
            self._tell("publish-denied", name)
        if self.closes_on_denial:
            raise PublishDenied(denial)
        raise TopicRefused(denial)

    def _make_room(self, topic: bytes) -> None:
        """Start over when a client invents topics; that costs little."""
        self._bytes += len(topic)
        is_full = len(self._routes) + len(self._denials) >= TOPICS_MAX
        if is_full or self._bytes > TOPIC_BYTES_MAX:
            self._forget()
            self._bytes = len(topic)

    def refusal_of(self, topic_filter: str) -> str:
        """Why the client may not subscribe to a filter, shared or with a history; empty if it may.

        Where messages are not looked at one by one, it must be allowed to read all of them.
        """
        pattern = topic_filter
        is_plain = not topic_filter.startswith(("$share/", "$replay/"))
        if not is_plain:
            pattern = [*topic_filter.split("/", 2), "", ""][2]
        rights = self.rights
        is_allowed = rights.may_subscribe(pattern) if is_plain else rights.reads_all_of(pattern)
        if is_allowed:
            return ""
        self._tell("subscribe-denied", topic_filter)
        return f"'{self.device.id}' may not subscribe to '{topic_filter}'"

    def refused_of(self, topic_filters: Iterable[str]) -> list[str]:
        """Those of the filters that the client may not have."""
        return [name for name in topic_filters if self.refusal_of(name)]

    @property
    def may_read(self) -> Callable[[str], bool]:
        """Whether a message to a topic may be delivered to the client."""
        return self.rights.may_read
