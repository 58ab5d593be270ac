"""What a session asks of its caller; each is one thing to do, in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.mqtt import Will
from gateway.session.inputs import PublishBatch
from gateway.session.state import Grant, SessionState


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes to the client."""

    packets: bytes


@dataclass(frozen=True, slots=True)
class OpenState:
    """Find who this is, then its state, and end its other connection; answer `Opened`."""

    client_id: str
    is_clean: bool
    expiry_ms: int | None
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    will_topic: str = ""


@dataclass(frozen=True, slots=True)
class Append:
    """Store the batch; answer `Appended` when it is durable."""

    batch: PublishBatch


@dataclass(frozen=True, slots=True)
class Release:
    """Forget durably that this QoS 2 packet was received; answer `Released`."""

    packet_id: bytes


@dataclass(frozen=True, slots=True)
class SendSaved:
    """Write these bytes once the session's state, as it is now, would survive a crash."""

    packets: bytes


@dataclass(frozen=True, slots=True)
class Grants:
    """Deliver to these filters from now on."""

    grants: Sequence[Grant]


@dataclass(frozen=True, slots=True)
class SendRetained:
    """Deliver the retained messages that match these grants."""

    grants: Sequence[Grant]


@dataclass(frozen=True, slots=True)
class Revokes:
    """Deliver to these filters no more."""

    topic_filters: Sequence[str]


@dataclass(frozen=True, slots=True)
class Redeliver:
    """Send again what the state has in flight, then go on from its positions."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The client can take more: go on delivering if there is a backlog."""


@dataclass(frozen=True, slots=True)
class PublishWill:
    """Publish the will message."""

    will: Will


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close the connection after everything sent; who `is_told` why should get to read it."""

    is_told: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class KeepState:
    """The connection is over: keep the state for its expiry, or forget it when that is zero."""

    state: SessionState


Effect = (
    Send
    | OpenState
    | Append
    | Release
    | SendSaved
    | SendRetained
    | Grants
    | Revokes
    | Redeliver
    | Resume
    | PublishWill
    | CloseConnection
    | KeepState
)
