"""The session: one client's conversation, as a state machine without IO.

Theory of operation
-------------------
The caller feeds inputs (`inputs.py`): packets, batches of PUBLISH packets, answers to earlier
effects, and what happens to the connection. `handle` returns effects (`effects.py`): things for the
caller to do, in order. The caller keeps the time. Phases: AWAITING_CONNECT until a CONNECT arrives;
OPENING until the caller found the state of that client; CONNECTED; CLOSED, after which inputs are
ignored, because answers to what was begun may still come.

A PUBACK or PUBREC leaves only in answer to `Appended`, a PUBCOMP only in answer to `Released`: the
promise that an acknowledgement means durability is this type, not a habit of the caller. What has
been delivered and not acknowledged lives in `state`, which outlives the machine; `delivering.py`
fills it, and this machine empties it when acknowledgements come in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import Any, ClassVar

from gateway.mqtt import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    ProtocolVersion,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
    encode_packet,
)
from gateway.session.answering import Answers, reason_properties
from gateway.session.delivering import QOS_2
from gateway.session.effects import (
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
    SendRetained,
    SendSaved,
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
    Released,
    ServerStopping,
    TakenOver,
)
from gateway.session.offering import (
    check_connect,
    granted_expiry_ms,
    granted_keep_alive_s,
    offer,
)
from gateway.session.options import SessionOptions
from gateway.session.receiving import NO_PACKET_ID, Receiving
from gateway.session.state import SessionState
from gateway.session.subscribing import brings_retained, check_subscriptions

SECOND_MS = 1_000
# What goes beyond the specification is asked for, never needed [MQTT311-7.0.0-2].
RECEIPTS_PROPERTY = "penstock-receipts"
TOO_LARGE_CONNACK = "the CONNACK is above your maximum packet size"
TOO_MANY_FILTERS = "the answer to so many topic filters is above your maximum packet size"


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
        self.assigned_client_id = assigned_client_id
        self.phase = Phase.AWAITING_CONNECT
        self.version = ProtocolVersion.V3_1_1
        self.state = SessionState("")
        self.keep_alive_ms = 0
        self.in_flight_max = options.in_flight_max
        self.packet_bytes_max: int | None = None
        self.topic_alias_maximum = 0
        self._receiving = Receiving(options, self.version, self.state)
        self._answers = Answers(self.version)
        self._connect: Connect | None = None
        self._connack = Connack()
        self._will: Will | None = None
        self._refusal_of: Callable[[str], str] | None = None
        self.end_reason = ""

    @property
    def client_id(self) -> str:
        return self.state.client_id

    def handle(self, incoming: Input) -> list[Effect]:
        """Advance by one input and say what to do, in order; after the end, nothing.

        Raises:
            MqttError: a PUBLISH that this connection may not send; feed it back as `Failure`.
        """
        if self.phase is Phase.CLOSED:
            # Nobody hears it, but the state, which lives on, must know what it has received.
            if isinstance(incoming, Appended):
                self._acknowledge(incoming)
            elif isinstance(incoming, AppendRefused):
                self._refuse(incoming)
            return []
        kind = type(incoming)
        if self.phase is not Phase.CONNECTED and kind not in ACCEPTED_BEFORE[self.phase]:
            # Nothing but CONNECT opens a conversation [MQTT5-3.1.0-1] [MQTT311-3.1.0-1], and what
            # follows it counts only if it is accepted [MQTT5-3.1.4-6] [MQTT311-3.1.4-5].
            return self._fail(ReasonCode.PROTOCOL_ERROR)
        # However full the window to the client is [MQTT5-4.9.0-3].
        return self.ANSWERS[kind](self, incoming)

    # -- connecting

    def _open(self, connect: Connect) -> list[Effect]:
        if self.phase is not Phase.AWAITING_CONNECT:
            # A second CONNECT is a protocol error [MQTT5-3.1.0-2] [MQTT311-3.1.0-2].
            return self._fail(ReasonCode.PROTOCOL_ERROR, "a second CONNECT on one connection")
        self.version = connect.version
        asked = connect.properties
        self.packet_bytes_max = asked.maximum_packet_size
        self._answers = Answers(
            self.version,
            self.packet_bytes_max,
            wants_reasons=asked.request_problem_information != 0,
        )
        refusal = check_connect(connect, self._options)
        if refusal is not None:
            return self._fail(*refusal, connect.version)
        offered = offer(connect, self._options, self.assigned_client_id)
        self._connack = Connack(properties=offered)
        if self._answers.encode(self._connack) is None:
            # [MQTT5-3.1.2-24]
            return self._fail(ReasonCode.PACKET_TOO_LARGE, TOO_LARGE_CONNACK, connect.version)
        self.phase = Phase.OPENING
        self._connect = connect
        # [MQTT5-3.1.3-6] [MQTT5-3.1.3-7] [MQTT311-3.1.3-6]
        client_id = connect.client_id or self.assigned_client_id
        expiry_ms = granted_expiry_ms(connect, self._options)
        will_topic = "" if connect.will is None else connect.will.topic
        credentials = connect.username, connect.password
        return [OpenState(client_id, connect.clean_start, expiry_ms, *credentials, will_topic)]

    def _opened(self, opened: Opened) -> list[Effect]:
        connect = self._connect
        assert connect is not None  # noqa: S101 - Opened answers OpenState, which follows a CONNECT
        self._connect = None
        self.phase = Phase.CONNECTED
        self.state = opened.state
        self._refusal_of = opened.refusal_of
        asked = connect.properties
        self._receiving = Receiving(
            self._options,
            self.version,
            opened.state,
            self._answers,
            wants_receipts=dict(asked.user_properties).get(RECEIPTS_PROPERTY) == "1",
        )
        self._will = connect.will  # [MQTT5-3.1.2-7]
        self.keep_alive_ms = granted_keep_alive_s(connect, self._options) * SECOND_MS * 3 // 2
        self.in_flight_max = min(
            self._options.in_flight_max, asked.receive_maximum or self._options.in_flight_max
        )
        # [MQTT5-3.1.2-26] [MQTT5-3.1.2-27]
        self.topic_alias_maximum = min(
            asked.topic_alias_maximum or 0, self._options.topic_alias_maximum
        )
        # [MQTT5-3.1.4-5] [MQTT5-3.2.2-2] [MQTT5-3.2.2-3] [MQTT311-3.1.4-4] [MQTT311-3.2.2-1]
        # [MQTT311-3.2.2-2] [MQTT311-3.2.2-3]
        # The byte is reserved in MQTT 3.1.
        is_present = opened.is_present and not connect.is_v3_1
        connack = replace(self._connack, session_present=is_present)
        # [MQTT5-3.2.0-1] [MQTT5-3.2.0-2] [MQTT311-3.2.0-1]
        return [Send(self._answers.encode(connack) or b""), Redeliver()]

    def _refused(self, refused: ConnectRefused) -> list[Effect]:
        farewell = self._answers.refusal(
            refused.reason_code, self.version, refused.reason, refused.retry_after_s
        )
        return [Send(farewell), *self._close(is_told=True)] if farewell else self._close()

    # -- receiving

    def _take(self, publish: Publish) -> list[Effect]:
        return self._accept(self._receiving.batch_of(publish))

    def _accept(self, batch: PublishBatch) -> list[Effect]:
        accepted = self._receiving.accept(batch)
        return accepted if isinstance(accepted, list) else self._fail(*accepted)

    def _acknowledge(self, appended: Appended) -> list[Effect]:
        return self._receiving.acknowledge(appended)

    def _refuse(self, refused: AppendRefused) -> list[Effect]:
        return self._receiving.refuse(refused)

    def _release(self, pubrel: Pubrel) -> list[Effect]:
        return self._receiving.release(pubrel)

    def _complete(self, released: Released) -> list[Effect]:
        return self._receiving.complete(released.packet_id)

    # -- delivering

    def _delivered(self, packet_ids: Sequence[bytes]) -> list[Effect]:
        in_flight = self.state.in_flight
        before = len(in_flight)
        for packet_id in packet_ids:
            # An identifier that is not in flight was acknowledged before; that harms nobody.
            in_flight.pop(packet_id, None)
        self.state.tally.delivered += before - len(in_flight)
        return [Resume()]

    def _pubacks(self, pubacks: Pubacks) -> list[Effect]:
        packet_ids = pubacks.packet_ids
        if NO_PACKET_ID in packet_ids:
            # [MQTT5-2.2.1-4] [MQTT311-2.3.1-4]: we never sent anything under it.
            return self._fail(ReasonCode.PROTOCOL_ERROR, "PUBACK with the packet identifier 0")
        in_flight, releasing = self.state.in_flight, self.state.releasing
        for packet_id in packet_ids:
            position = in_flight.get(packet_id)
            if position is None:
                is_wrong = bool(releasing) and packet_id in releasing
            else:
                is_wrong = position.qos == QOS_2
            if is_wrong:
                return self._fail_wrong_answer("PUBACK", packet_id, QOS_2)
        return self._delivered(packet_ids)

    def _puback(self, puback: Puback) -> list[Effect]:
        return self._pubacks(Pubacks([puback.packet_id.to_bytes(2, "big")]))

    def _fail_wrong_answer(self, name: str, packet_id: bytes, qos: int) -> list[Effect]:
        """The client has mixed up two exchanges; what it has got of either, nobody knows.

        Spec: MQTT5 §4.3, §4.13.1 [MQTT5-4.13.1-1], MQTT311 §4.3, §4.8 [MQTT311-4.8.0-1]
        """
        number = int.from_bytes(packet_id, "big")
        return self._fail(ReasonCode.PROTOCOL_ERROR, f"{name} for {number}, which has QoS {qos}")

    def _pubrec(self, pubrec: Pubrec) -> list[Effect]:
        """The client has a QoS 2 message: never send that again, but its release.

        Spec: MQTT5 §4.3.3 [MQTT5-4.3.3-4] [MQTT5-4.3.3-5] [MQTT5-4.3.3-6],
        MQTT311 §4.3.3 [MQTT311-4.3.3-1]
        """
        packet_id = pubrec.packet_id.to_bytes(2, "big")
        if pubrec.reason_code >= ReasonCode.UNSPECIFIED_ERROR:
            # The client refused it: the exchange is over [MQTT5-4.4.0-2].
            return self._delivered([packet_id])
        code = ReasonCode.SUCCESS
        position = self.state.in_flight.get(packet_id)
        if position is not None and position.qos < QOS_2:
            return self._fail_wrong_answer("PUBREC", packet_id, position.qos)
        if position is not None:
            del self.state.in_flight[packet_id]
            self.state.releasing[packet_id] = None
        elif packet_id not in self.state.releasing:
            code = ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
            if self.version < ProtocolVersion.V5:
                code = ReasonCode.SUCCESS
        pubrel = self._answers.encode(Pubrel(pubrec.packet_id, code))
        return [SendSaved(pubrel)] if pubrel else []

    def _pubcomp(self, pubcomp: Pubcomp) -> list[Effect]:
        packet_id = pubcomp.packet_id.to_bytes(2, "big")
        position = self.state.in_flight.get(packet_id)
        if position is not None:
            return self._fail_wrong_answer("PUBCOMP", packet_id, position.qos)
        releasing = self.state.releasing
        before = len(releasing)
        releasing.pop(packet_id, None)
        self.state.tally.delivered += before - len(releasing)
        return [Resume()]

    # -- subscribing

    def _subscribe(self, subscribe: Subscribe) -> list[Effect]:
        held = self.state.grants_by_filter
        grants, reason_codes, reason = check_subscriptions(
            subscribe, self._options, held, self._refusal_of
        )
        # [MQTT5-3.8.4-1] [MQTT5-3.8.4-2] [MQTT5-3.8.4-5] [MQTT5-2.2.1-6] [MQTT311-3.8.4-1]
        # [MQTT311-3.8.4-2] [MQTT311-3.8.4-4] [MQTT311-2.3.1-7]
        suback = Suback(subscribe.packet_id, reason_codes, reason_properties(reason))
        encoded = self._answers.encode(suback)
        if encoded is None:
            return self._fail(ReasonCode.PACKET_TOO_LARGE, TOO_MANY_FILTERS)
        wanted = [grant for grant in grants if brings_retained(grant, held)]
        for grant in grants:
            # [MQTT5-3.8.4-3] [MQTT311-3.8.4-3]
            held[grant.topic_filter] = grant
        return [Grants(grants), SendSaved(encoded), SendRetained(wanted)]

    def _unsubscribe(self, unsubscribe: Unsubscribe) -> list[Effect]:
        grants = self.state.grants_by_filter
        reason_codes = tuple(
            ReasonCode.SUCCESS
            if grants.pop(topic_filter, None)  # [MQTT5-3.10.4-1] [MQTT311-3.10.4-1]
            else ReasonCode.NO_SUBSCRIPTION_EXISTED
            for topic_filter in unsubscribe.topic_filters
        )
        # [MQTT5-3.10.4-2] [MQTT5-3.10.4-3] [MQTT5-3.10.4-4] [MQTT5-3.10.4-5] [MQTT5-3.10.4-6]
        # [MQTT5-3.11.3-1] [MQTT311-3.10.4-2] [MQTT311-3.10.4-3] [MQTT311-3.10.4-4]
        # [MQTT311-3.10.4-5] [MQTT311-3.10.4-6]
        encoded = self._answers.encode(Unsuback(unsubscribe.packet_id, reason_codes))
        revokes = Revokes(unsubscribe.topic_filters)
        if encoded is None:
            return [revokes, *self._fail(ReasonCode.PACKET_TOO_LARGE, TOO_MANY_FILTERS)]
        return [revokes, SendSaved(encoded)]

    # -- ending

    def _ping(self, _: Pingreq) -> list[Effect]:
        # [MQTT5-3.12.4-1] [MQTT311-3.12.4-1]
        return [Send(encode_packet(Pingresp(), self.version))]

    def _disconnect(self, disconnect: Disconnect) -> list[Effect]:
        self.end_reason = "the client disconnected"
        expiry_s = disconnect.properties.session_expiry_interval_s
        if expiry_s is not None:
            if expiry_s and self.state.expiry_ms == 0:
                # A session that was to end now can't be made to last (MQTT5 §3.14.2.2.2).
                return self._fail(
                    ReasonCode.PROTOCOL_ERROR, "this session ends with its connection"
                )
            longest = self._options.session_expiry_ms_max
            self.state.expiry_ms = min(expiry_s * SECOND_MS, longest)
        if disconnect.reason_code == ReasonCode.NORMAL_DISCONNECTION:
            # [MQTT5-3.14.4-3] [MQTT311-3.14.4-3]
            self._will = None
        return self._close()

    def _fail(self, reason_code: int, reason: str = "", announced_version: int = 0) -> list[Effect]:
        """End the conversation for a reason, which the client is told where its version can.

        Spec: MQTT5 §4.13 [MQTT5-4.13.1-1] [MQTT5-4.13.2-1] [MQTT5-3.2.2-7] [MQTT5-3.14.4-1]
        [MQTT5-3.14.4-2], MQTT311 §4.8 [MQTT311-4.8.0-1] [MQTT311-4.8.0-2] [MQTT311-3.2.2-5]
        """
        self.end_reason = reason or ReasonCode(reason_code).name.lower().replace("_", " ")
        if self.phase is Phase.CONNECTED:
            farewell = self._answers.farewell(reason_code, reason)
        else:
            # No DISCONNECT before a CONNACK that accepts [MQTT5-3.14.0-1].
            farewell = self._answers.refusal(reason_code, announced_version, reason)
        effects: list[Effect] = [Send(farewell)] if farewell else []
        return [*effects, *self._close(is_told=bool(farewell))]

    def _failure(self, failure: Failure) -> list[Effect]:
        return self._fail(failure.reason_code, failure.reason, failure.announced_version)

    def _close(self, *, is_told: bool = False) -> list[Effect]:
        was_connected = self.phase is Phase.CONNECTED
        self.phase = Phase.CLOSED
        if not was_connected:
            return [CloseConnection(is_told)]
        will, self._will = self._will, None
        # [MQTT5-3.1.2-8] [MQTT5-3.1.2-10] [MQTT311-3.1.2-8] [MQTT311-3.1.2-10] [MQTT311-3.1.2-12]
        effects: list[Effect] = [] if will is None else [PublishWill(will)]
        return [*effects, CloseConnection(is_told), KeepState(self.state)]

    def _lose(self, _: ConnectionLost) -> list[Effect]:
        return self._close()

    def _be_taken_over(self, _: TakenOver) -> list[Effect]:
        # [MQTT5-3.1.4-3] [MQTT311-3.1.4-2]
        return self._fail(ReasonCode.SESSION_TAKEN_OVER, "another connection has this identifier")

    def _time_out(self, _: KeepAliveElapsed) -> list[Effect]:
        # [MQTT5-3.1.2-22] [MQTT311-3.1.2-24]
        heard = f"nothing was heard for {self.keep_alive_ms / SECOND_MS:g} s"
        return self._fail(ReasonCode.KEEP_ALIVE_TIMEOUT, heard)

    def _shut_down(self, _: ServerStopping) -> list[Effect]:
        return self._fail(ReasonCode.SERVER_SHUTTING_DOWN, "the gateway stops")

    def _authenticate(self, _: Auth) -> list[Effect]:
        # No method was agreed on in CONNECT, so none can go on [MQTT5-4.12.0-7].
        return self._fail(ReasonCode.PROTOCOL_ERROR, "AUTH without a method in CONNECT")

    # What answers each input while CONNECTED; `handle` has checked the other phases.
    ANSWERS: ClassVar[dict[type[Input], Callable[[Session, Any], list[Effect]]]] = {
        PublishBatch: _accept,
        Publish: _take,
        Appended: _acknowledge,
        AppendRefused: _refuse,
        Pubrel: _release,
        Released: _complete,
        Pubacks: _pubacks,
        Puback: _puback,
        Pubrec: _pubrec,
        Pubcomp: _pubcomp,
        Subscribe: _subscribe,
        Unsubscribe: _unsubscribe,
        Pingreq: _ping,
        Connect: _open,
        Opened: _opened,
        ConnectRefused: _refused,
        Disconnect: _disconnect,
        Failure: _failure,
        ConnectionLost: _lose,
        KeepAliveElapsed: _time_out,
        TakenOver: _be_taken_over,
        ServerStopping: _shut_down,
        Auth: _authenticate,
    }


ALWAYS: frozenset[type[Input]] = frozenset({Failure, ConnectionLost, ServerStopping})
ACCEPTED_BEFORE: dict[Phase, frozenset[type[Input]]] = {
    Phase.AWAITING_CONNECT: ALWAYS | {Connect},
    Phase.OPENING: ALWAYS | {Opened, ConnectRefused},
}
