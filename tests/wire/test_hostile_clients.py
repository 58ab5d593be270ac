"""A client that sends any packets in any order never finds an error of ours, nor endless memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import MqttError
from gateway.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Properties,
    ProtocolVersion,
    Publish,
    ReasonCode,
    Sender,
    decode_packet,
)
from gateway.session import (
    Append,
    Appended,
    AppendRefused,
    CloseConnection,
    ConnectionLost,
    Delivery,
    Failure,
    Grant,
    KeepState,
    Opened,
    OpenState,
    Outgoing,
    Phase,
    Position,
    Pubacks,
    PublishWill,
    Release,
    Released,
    Send,
    SendSaved,
    Session,
    SessionOptions,
    SessionState,
    TakenOver,
    Terms,
)
from tests.wire.strategies import packets_from_client

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
OPTIONS = SessionOptions(
    receive_maximum=3,
    in_flight_max=3,
    subscriptions_max=3,
    topic_alias_maximum=2,
    topic_alias_bytes_max=12,
)
TERMS = Terms.of([Grant("#", 2)])
FAREWELLS = (Disconnect, Connack)


def from_client(version):
    """Packets whose identifiers meet one another."""
    few = st.integers(1, 4)
    packets = packets_from_client(version)
    met = st.tuples(packets, few).map(
        lambda drawn: (
            replace(drawn[0], packet_id=drawn[1]) if getattr(drawn[0], "packet_id", 0) else drawn[0]
        )
    )
    pubacks = st.lists(st.integers(0, 4).map(lambda one: one.to_bytes(2, "big")), max_size=4)
    return met | pubacks.map(Pubacks)


def from_gateway():
    """What happens on the other side: answers, deliveries, ends."""
    return st.sampled_from(
        ["answer", "answer", "refuse", "deliver", "deliver", "take over", "lose"]
    )


class Conversation:
    """One session between a hostile client and a gateway that answers when it likes."""

    def __init__(self, connect):
        self.session = Session(OPTIONS, "auto-1")
        self.owed = []
        self.is_closed = False
        self.delivery = None
        self.written = b""
        self.feed(connect)

    def feed(self, incoming):
        was_closed = self.is_closed
        try:
            effects = self.session.handle(incoming)
        except MqttError as error:
            assert isinstance(incoming, Publish)
            effects = self.session.handle(Failure(error.reason_code, 0, str(error)))
        assert not (was_closed and effects)
        for effect in effects:
            self.do(effect)

    def do(self, effect):
        if isinstance(effect, Send | SendSaved):
            assert not self.is_closed
            self.written += effect.packets
        elif isinstance(effect, OpenState):
            state = SessionState(effect.client_id, effect.expiry_ms)
            self.feed(Opened(state, is_present=False))
            self.delivery = Delivery(
                state,
                self.session.version,
                self.session.in_flight_max,
                self.session.packet_bytes_max,
                self.session.topic_alias_maximum,
            )
        elif isinstance(effect, Append | Release):
            self.owed.append(effect)
        elif isinstance(effect, CloseConnection):
            self.is_closed = True
        elif self.is_closed:
            assert isinstance(effect, KeepState | PublishWill)

    def happen(self, event):
        if event == "lose":
            self.feed(ConnectionLost())
        elif event == "take over" and self.session.phase is Phase.CONNECTED:
            self.feed(TakenOver())
        elif event == "deliver" and self.delivery is not None and not self.is_closed:
            message = Outgoing(b"t", b"x", 4, b"", 0)
            self.delivery.offer(message, TERMS, Position("s", 0, 1, 2))
        elif self.owed:
            self.answer(self.owed.pop(0), event)

    def answer(self, owed, event):
        if isinstance(owed, Release):
            self.feed(Released(owed.packet_id))
            return
        batch = owed.batch
        if event == "refuse":
            self.feed(AppendRefused(batch.packet_ids, batch.received_ids, 0x97, "full"))
        else:
            self.feed(Appended(batch.packet_ids, batch.received_ids))

    def heard(self):
        packets, at = [], 0
        while at < len(self.written):
            packet, end = decode_packet(
                self.written, at, self.session.version, 1 << 28, Sender.SERVER
            )
            most = self.session.packet_bytes_max
            assert most is None or end - at <= most
            packets.append(packet)
            at = end
        return packets

    def check(self):
        state = self.session.state
        assert len(state.grants_by_filter) <= OPTIONS.subscriptions_max
        assert state.unacknowledged <= OPTIONS.in_flight_max
        assert len(state.received) <= 4
        assert len(state.underway) <= 4
        receiving = self.session._receiving
        assert len(receiving._topics_by_alias) <= OPTIONS.topic_alias_maximum
        assert sum(map(len, receiving._topics_by_alias.values())) <= OPTIONS.topic_alias_bytes_max


CONNECTS = {
    version: st.builds(
        Connect,
        st.sampled_from(["c", "", "$c"]),
        st.just(version),
        st.booleans(),
        st.sampled_from([0, 1, 65_535]),
        properties=st.just(Properties())
        if version is V3
        else st.builds(
            Properties,
            request_problem_information=st.sampled_from([None, 0, 1]),
            maximum_packet_size=st.sampled_from([None, None, 1, 20, 40, 1 << 20]),
            receive_maximum=st.sampled_from([None, 1, 2, 65_535]),
            topic_alias_maximum=st.sampled_from([None, 0, 1]),
        ),
    )
    for version in (V3, V5)
}


@pytest.mark.spec("MQTT5-4.13.1-1")
@pytest.mark.spec("MQTT5-4.13.2-1")
@pytest.mark.spec("MQTT311-4.8.0-1")
@pytest.mark.parametrize("version", [V3, V5])
@settings(max_examples=60, deadline=None)
@given(draw=st.data())
def test_any_packets_in_any_order_end_in_effects_or_with_a_reason(version, draw):
    conversation = Conversation(draw.draw(CONNECTS[version]))
    steps = draw.draw(st.lists(from_client(version) | from_gateway(), max_size=25))
    for step in steps:
        if isinstance(step, str):
            conversation.happen(step)
        else:
            conversation.feed(step)
        conversation.check()
    heard = conversation.heard()
    # Nothing follows a farewell, and a farewell is followed by the end.
    ends = [one for one in heard if isinstance(one, FAREWELLS) and one.reason_code >= 0x80]
    assert ends == ([heard[-1]] if conversation.is_closed and ends else [])
    assert all(isinstance(one.reason_code, ReasonCode) for one in ends)
