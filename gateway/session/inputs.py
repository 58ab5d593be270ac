"""What can happen to a session, beside the packets that are their own input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.mqtt import (
    Auth,
    Connect,
    Disconnect,
    Pingreq,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Subscribe,
    Unsubscribe,
)
from gateway.session.state import SessionState


@dataclass(frozen=True, slots=True)
class PublishBatch:
    """Consecutive PUBLISH packets of one read, as columns in the order of the wire.

    `packet_ids` has the two bytes of each QoS 1 packet's identifier, in order, `received_ids` those
    of the QoS 2 packets. `properties` has the MQTT 5 properties of every packet as on the wire, or
    is None when no packet has any. With `wants_receipts`, each acknowledgement tells where its
    message lies.
    """

    topics: Sequence[bytes]
    payloads: Sequence[bytes]
    flags: Sequence[int]
    packet_ids: Sequence[bytes]
    properties: Sequence[bytes] | None = None
    received_ids: Sequence[bytes] = ()
    wants_receipts: bool = False

    def only(self, indexes: Sequence[int]) -> PublishBatch:
        """The packets with these indexes; the identifiers of all stay, to be acknowledged."""
        properties = self.properties
        return PublishBatch(
            [self.topics[index] for index in indexes],
            [self.payloads[index] for index in indexes],
            [self.flags[index] for index in indexes],
            self.packet_ids,
            None if properties is None else [properties[index] for index in indexes],
            self.received_ids,
            self.wants_receipts,
        )

    def singles(self) -> Iterator[PublishBatch]:
        """Each packet as a batch of its own, in order."""
        packet_ids, received_ids = iter(self.packet_ids), iter(self.received_ids)
        for index, flags in enumerate(self.flags):
            qos = flags >> 1 & 0x03
            yield PublishBatch(
                [self.topics[index]],
                [self.payloads[index]],
                [flags],
                [next(packet_ids)] if qos == 1 else (),
                None if self.properties is None else [self.properties[index]],
                [next(received_ids)] if qos > 1 else (),
                self.wants_receipts,
            )


@dataclass(frozen=True, slots=True)
class Pubacks:
    """Consecutive PUBACK packets that report success: the two bytes of each packet identifier."""

    packet_ids: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer to `OpenState`: the state to go on with, `is_present` if an earlier session's.

    `refusal_of` says why a topic filter is not for this client, or nothing; None allows all.
    """

    state: SessionState
    is_present: bool
    refusal_of: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True)
class ConnectRefused:
    """The answer to `OpenState` when a client may not connect, or only after `retry_after_s`."""

    reason_code: int
    reason: str = ""
    retry_after_s: int = 0


@dataclass(frozen=True, slots=True)
class Appended:
    """The answer to `Append`: the batch is durable, as are the identifiers of its QoS 2 packets.

    `place` is the stream, partition and offset of a single packet whose client wants receipts;
    `durability` is the class of its stream where that is weaker than `fsync`.
    """

    packet_ids: Sequence[bytes]
    received_ids: Sequence[bytes] = ()
    place: tuple[str, int, int] | None = None
    durability: str = ""


@dataclass(frozen=True, slots=True)
class AppendRefused:
    """The answer to `Append` when the store could not take the batch in time."""

    packet_ids: Sequence[bytes]
    received_ids: Sequence[bytes]
    reason_code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """The answer to `Release`: the identifier is forgotten durably."""

    packet_id: bytes


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
    `reason` says it in words, for whoever reads the client's log.
    """

    reason_code: int
    announced_version: int = 0
    reason: str = ""


Input = (
    PublishBatch
    | Pubacks
    | Opened
    | ConnectRefused
    | Appended
    | AppendRefused
    | Released
    | Publish
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
