"""The session: one client's conversation, as a state machine without IO.

Theory of operation
-------------------
The caller feeds inputs (`inputs.py`): packets, batches of PUBLISH packets, answers to earlier
effects, and what happens to the connection. `handle` returns effects (`effects.py`): things for the
caller to do, in order. Time is an argument. Phases: AWAITING_CONNECT until a CONNECT arrives;
OPENING until the caller found the state of that client; CONNECTED; CLOSED, after which only answers
are still taken, and ignored.

A PUBACK leaves only in answer to `Appended`: the promise that an acknowledgement means durability
is this type, not a habit of the caller. What has been delivered and not acknowledged lives in
`state`, which outlives the machine; `delivering.py` fills it, and this machine empties it when
PUBACKs come in.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from gateway.mqtt import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    Properties,
    ProtocolVersion,
    Puback,
    ReasonCode,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
    encode_packet,
    encode_refusal,
)
from gateway.session.effects import (
    Append,
    CloseConnection,
    Effect,
    Grants,
    KeepState,
    OpenState,
    PublishWill,
    Redeliver,
    Resume,
    Revokes,
    Send,
)
from gateway.session.inputs import (
    Appended,
    AppendRefused,
    ConnectionLost,
    ConnectRefused,
    Failure,
    Input,
    KeepAliveElapsed,
    Opened,
    Pubacks,
    PublishBatch,
    ServerStopping,
    TakenOver,
)
from gateway.session.options import SessionOptions
from gateway.session.state import SessionState
from gateway.session.subscribing import check_subscriptions

PUBACK_HEADER = b"\x40\x02"
NO_PACKET_ID = b"\x00\x00"
NEVER_EXPIRES = 0xFFFFFFFF
SECOND_MS = 1_000


class Phase(Enum):
    """How far the conversation is."""

    AWAITING_CONNECT = auto()
    OPENING = auto()
    CONNECTED = auto()
    CLOSED = auto()


class Session:
    """The conversation with one client, from its network connection's first byte to its last."""

    def __init__(self, options: SessionOptions, assigned_client_id: str) -> None:
        """Await a CONNECT; a client that names itself nothing becomes `assigned_client_id`."""
        self._options = options
        self._assigned_client_id = assigned_client_id
        self.phase = Phase.AWAITING_CONNECT
        self.version = ProtocolVersion.V3_1_1
        self.state = SessionState("")
        self.keep_alive_ms = 0
        self.in_flight_max = options.in_flight_max
        self.packet_bytes_max: int | None = None
        self._connect: Connect | None = None
        self._will: Will | None = None
        self._uncommitted = 0

    @property
    def client_id(self) -> str:
        return self.state.client_id

    def handle(  # noqa: C901, PLR0911 - one case an input is the shape of a state machine
        self, incoming: Input
    ) -> list[Effect]:
        """Advance by one input and say what to do, in order; after the end, nothing."""
        if self.phase is Phase.CLOSED:
            return []
        match incoming:
            case PublishBatch():
                return self._accept(incoming)
            case Appended():
                return self._acknowledge(incoming.packet_ids)
            case Pubacks():
                return self._delivered(incoming.packet_ids)
            case Puback():
                return self._delivered([incoming.packet_id.to_bytes(2, "big")])
            case Pingreq():
                return self._when_connected([self._send(Pingresp())])
            case Connect():
                return self._open(incoming)
            case Subscribe():
                return self._subscribe(incoming)
            case Unsubscribe():
                return self._unsubscribe(incoming)
            case Disconnect():
                return self._disconnect(incoming)
            case _:
                return self._conclude(incoming)

    def _conclude(  # noqa: C901, PLR0911 - the second half of `handle`
        self, incoming: Input
    ) -> list[Effect]:
        """The inputs that open or end the conversation."""
        match incoming:
            case Opened():
                return self._opened(incoming)
            case ConnectRefused():
                return self._fail(incoming.reason_code, self.version)
            case AppendRefused():
                return self._refuse(incoming)
            case KeepAliveElapsed():
                # [MQTT5-3.1.2-22] [MQTT311-3.1.2-24]
                return self._fail(ReasonCode.KEEP_ALIVE_TIMEOUT)
            case TakenOver():
                # [MQTT5-3.1.4-3] [MQTT311-3.1.4-2]
                return self._fail(ReasonCode.SESSION_TAKEN_OVER)
            case ServerStopping():
                return self._fail(ReasonCode.SERVER_SHUTTING_DOWN)
            case Failure():
                return self._fail(incoming.reason_code, incoming.announced_version)
            case ConnectionLost():
                return self._close()
            case Auth():
                # No method was agreed on in CONNECT, so none can go on [MQTT5-4.12.0-6].
                return self._fail(ReasonCode.PROTOCOL_ERROR)
            case _:
                return self._fail(ReasonCode.PROTOCOL_ERROR)

    # -- connecting

    def _open(self, connect: Connect) -> list[Effect]:
        if self.phase is not Phase.AWAITING_CONNECT:
            # A second CONNECT is a protocol error [MQTT5-3.1.0-2] [MQTT311-3.1.0-2].
            return self._fail(ReasonCode.PROTOCOL_ERROR)
        self.version = connect.version
        refusal = self._refusal(connect)
        if refusal is not None:
            return self._fail(refusal, connect.version)
        self.phase = Phase.OPENING
        self._connect = connect
        client_id = connect.client_id or self._assigned_client_id
        return [OpenState(client_id, connect.clean_start, self._expiry_ms(connect))]

    def _refusal(self, connect: Connect) -> ReasonCode | None:
        if connect.properties.authentication_method is not None:
            # No enhanced authentication is offered [MQTT5-4.12.0-1].
            return ReasonCode.BAD_AUTHENTICATION_METHOD
        if len(connect.client_id) > self._options.client_id_bytes_max:
            return ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
        return None

    def _expiry_ms(self, connect: Connect) -> int | None:
        longest = self._options.session_expiry_ms_max
        if connect.version < ProtocolVersion.V5:
            # Clean Session 0 asks for a session that lives on [MQTT311-3.1.2-4].
            return 0 if connect.clean_start else longest
        asked_s = connect.properties.session_expiry_interval_s or 0
        return min(asked_s * SECOND_MS, longest)

    def _opened(self, opened: Opened) -> list[Effect]:
        connect = self._connect
        assert connect is not None  # noqa: S101 - Opened answers OpenState, which follows a CONNECT
        self._connect = None
        self.phase = Phase.CONNECTED
        self.state = opened.state
        self._will = connect.will
        keep_alive_s = min(connect.keep_alive_s, self._options.keep_alive_s_max)
        self.keep_alive_ms = keep_alive_s * SECOND_MS * 3 // 2
        asked = connect.properties
        self.in_flight_max = min(
            self._options.in_flight_max, asked.receive_maximum or self._options.in_flight_max
        )
        self.packet_bytes_max = asked.maximum_packet_size
        connack = Connack(opened.is_present, ReasonCode.SUCCESS, self._offer(connect))
        return [self._send(connack), Redeliver()]

    def _offer(self, connect: Connect) -> Properties:
        """What the CONNACK tells an MQTT 5 client (§3.2.2.3); nothing to one of 3.1.1."""
        if self.version < ProtocolVersion.V5:
            return Properties()
        expiry_ms = self.state.expiry_ms
        granted_s = NEVER_EXPIRES if expiry_ms is None else expiry_ms // SECOND_MS
        asked_s = connect.properties.session_expiry_interval_s or 0
        return Properties(
            session_expiry_interval_s=None if granted_s == asked_s else granted_s,
            receive_maximum=self._options.receive_maximum,
            maximum_packet_size=self._options.packet_bytes_max,
            assigned_client_id=None if connect.client_id else self.client_id,
            maximum_qos=1,
            shared_subscription_available=0,
        )

    # -- receiving

    def _accept(self, batch: PublishBatch) -> list[Effect]:
        if self.phase is not Phase.CONNECTED:
            return self._fail(ReasonCode.PROTOCOL_ERROR)
        if NO_PACKET_ID in batch.packet_ids:
            # [MQTT5-2.2.1-3] [MQTT311-2.3.1-1]
            return self._fail(ReasonCode.MALFORMED_PACKET)
        self._uncommitted += len(batch.packet_ids)
        if self.version >= ProtocolVersion.V5 and self._uncommitted > self._options.receive_maximum:
            # [MQTT5-3.3.4-7] [MQTT5-3.3.4-8]
            return self._fail(ReasonCode.RECEIVE_MAXIMUM_EXCEEDED)
        return [Append(batch)]

    def _acknowledge(self, packet_ids: Sequence[bytes]) -> list[Effect]:
        """PUBACK every QoS 1 packet of a batch, in the order in which they came.

        Spec: MQTT5 §4.3.2 [MQTT5-4.3.2-4], MQTT311 §4.6 [MQTT311-4.6.0-2]
        """
        if not packet_ids:
            return []
        self._uncommitted -= len(packet_ids)
        return [Send(PUBACK_HEADER + PUBACK_HEADER.join(packet_ids))]

    def _refuse(self, refused: AppendRefused) -> list[Effect]:
        self._uncommitted -= len(refused.packet_ids)
        if self.version < ProtocolVersion.V5 or not refused.packet_ids:
            # 3.1.1 has no way to refuse: the client hears nothing, and sends again.
            return []
        reason_code = ReasonCode(refused.reason_code)
        pubacks = (
            Puback(int.from_bytes(packet_id, "big"), reason_code)
            for packet_id in refused.packet_ids
        )
        return [Send(b"".join(encode_packet(puback, self.version) for puback in pubacks))]

    # -- delivering

    def _delivered(self, packet_ids: Sequence[bytes]) -> list[Effect]:
        if self.phase is not Phase.CONNECTED:
            return self._fail(ReasonCode.PROTOCOL_ERROR)
        in_flight = self.state.in_flight
        for packet_id in packet_ids:
            # An identifier that is not in flight was acknowledged before; that harms nobody.
            in_flight.pop(packet_id, None)
        return [Resume()]

    # -- subscribing

    def _subscribe(self, subscribe: Subscribe) -> list[Effect]:
        if self.phase is not Phase.CONNECTED:
            return self._fail(ReasonCode.PROTOCOL_ERROR)
        grants, reason_codes = check_subscriptions(
            subscribe, self._options, len(self.state.grants_by_filter)
        )
        for grant in grants:
            self.state.grants_by_filter[grant.topic_filter] = grant
        # [MQTT5-3.8.4-1] [MQTT5-3.8.4-5] [MQTT311-3.8.4-1] [MQTT311-3.8.4-5]
        return [Grants(grants), self._send(Suback(subscribe.packet_id, reason_codes))]

    def _unsubscribe(self, unsubscribe: Unsubscribe) -> list[Effect]:
        if self.phase is not Phase.CONNECTED:
            return self._fail(ReasonCode.PROTOCOL_ERROR)
        grants = self.state.grants_by_filter
        reason_codes = tuple(
            ReasonCode.SUCCESS
            if grants.pop(topic_filter, None)
            else ReasonCode.NO_SUBSCRIPTION_EXISTED
            for topic_filter in unsubscribe.topic_filters
        )
        # [MQTT5-3.10.4-4] [MQTT5-3.11.3-1] [MQTT311-3.10.4-4] [MQTT311-3.10.4-5]
        unsuback = Unsuback(unsubscribe.packet_id, reason_codes)
        return [Revokes(unsubscribe.topic_filters), self._send(unsuback)]

    # -- ending

    def _disconnect(self, disconnect: Disconnect) -> list[Effect]:
        if self.phase is not Phase.CONNECTED:
            return self._fail(ReasonCode.PROTOCOL_ERROR)
        expiry_s = disconnect.properties.session_expiry_interval_s
        if expiry_s is not None:
            if expiry_s and self.state.expiry_ms == 0:
                # A session that was to end now can't be made to last [MQTT5-3.1.2-23].
                return self._fail(ReasonCode.PROTOCOL_ERROR)
            longest = self._options.session_expiry_ms_max
            self.state.expiry_ms = min(expiry_s * SECOND_MS, longest)
        if disconnect.reason_code == ReasonCode.NORMAL_DISCONNECTION:
            # [MQTT5-3.14.4-3] [MQTT311-3.14.4-3]
            self._will = None
        return self._close()

    def _fail(self, reason_code: int, announced_version: int = 0) -> list[Effect]:
        """End the conversation for a reason, which the client is told where its version can.

        Spec: MQTT5 §4.13 [MQTT5-4.13.2-1], MQTT311 §4.8 [MQTT311-4.8.0-1]
        """
        farewell = b""
        if self.phase is not Phase.CONNECTED:
            farewell = encode_refusal(reason_code, announced_version)
        elif self.version >= ProtocolVersion.V5:
            farewell = encode_packet(Disconnect(ReasonCode(reason_code)), self.version)
        effects: list[Effect] = [Send(farewell)] if farewell else []
        return [*effects, *self._close()]

    def _close(self) -> list[Effect]:
        was_connected = self.phase is Phase.CONNECTED
        self.phase = Phase.CLOSED
        if not was_connected:
            return [CloseConnection()]
        will, self._will = self._will, None
        # [MQTT5-3.1.2-8] [MQTT311-3.1.2-8]
        effects: list[Effect] = [] if will is None else [PublishWill(will)]
        return [*effects, CloseConnection(), KeepState(self.state)]

    def _when_connected(self, effects: list[Effect]) -> list[Effect]:
        if self.phase is not Phase.CONNECTED:
            return self._fail(ReasonCode.PROTOCOL_ERROR)
        return effects

    def _send(self, packet: Connack | Pingresp | Suback | Unsuback | Disconnect) -> Send:
        return Send(encode_packet(packet, self.version))
