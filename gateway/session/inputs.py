"""What can happen to a session, beside the packets that are their own input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.mqtt import (
    Auth,
    Connect,
    Disconnect,
    Pingreq,
    Puback,
    Pubcomp,
    Pubrec,
    Pubrel,
    Subscribe,
    Unsubscribe,
)
from gateway.session.state import SessionState


@dataclass(frozen=True, slots=True)
class PublishBatch:
    """Consecutive PUBLISH packets of one read, as columns in the order of the wire.

    `packet_ids` has the two bytes of each QoS 1 packet's identifier, in order. `properties` has the
    MQTT 5 properties of every packet as on the wire, or is None when no packet has any.
    """

    topics: Sequence[bytes]
    payloads: Sequence[bytes]
    flags: Sequence[int]
    packet_ids: Sequence[bytes]
    properties: Sequence[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Pubacks:
    """Consecutive PUBACK packets that report success: the two bytes of each packet identifier."""

    packet_ids: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer to `OpenState`: the state to go on with, `is_present` if an earlier session's."""

    state: SessionState
    is_present: bool


@dataclass(frozen=True, slots=True)
class ConnectRefused:
    """The answer to `OpenState` when this client may not connect."""

    reason_code: int


@dataclass(frozen=True, slots=True)
class Appended:
    """The answer to `Append`: the batch is durable."""

    packet_ids: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class AppendRefused:
    """The answer to `Append` when the store could not take the batch in time."""

    packet_ids: Sequence[bytes]
    reason_code: int


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Another connection uses this client identifier now."""


@dataclass(frozen=True, slots=True)
class KeepAliveElapsed:
    """Nothing was heard for one and a half times the keep-alive."""


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The network connection is gone; the client said nothing."""


@dataclass(frozen=True, slots=True)
class ServerStopping:
    """The gateway shuts down."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The client broke the specification or a limit; `reason_code` is MQTT 5's for it.

    `announced_version` is what an unread CONNECT asked for, so that it can be refused in its form.
    """

    reason_code: int
    announced_version: int = 0


Input = (
    PublishBatch
    | Pubacks
    | Opened
    | ConnectRefused
    | Appended
    | AppendRefused
    | TakenOver
    | KeepAliveElapsed
    | ConnectionLost
    | ServerStopping
    | Failure
    | Connect
    | Subscribe
    | Unsubscribe
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Pingreq
    | Disconnect
    | Auth
)
