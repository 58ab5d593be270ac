"""A scripted session: what is fed to it, and what it then says to the client and to the gateway."""

from __future__ import annotations

import pytest

from gateway.mqtt import (
    Connack,
    Connect,
    ProtocolVersion,
    PublishColumns,
    Sender,
    decode_packet,
    encode_packet,
    split_publishes,
)
from gateway.session import (
    Opened,
    OpenState,
    PublishBatch,
    Redeliver,
    Send,
    SendSaved,
    Session,
    SessionOptions,
    SessionState,
)
from tests.harness.reasons import without_reason

PACKET_BYTES_MAX = 1 << 28


class Script:
    """One session, fed step by step.

    Of the last step, `all_effects` are what the session asked for, `effects` those of them that
    are not writing, `raw` what is written, and `sent` what the client reads in it, without the
    reasons in words, which are in `reasons`; `plain` is `raw` without them.
    """

    def __init__(self, options):
        self.session = Session(options, assigned_client_id="auto-1")
        self.effects = []
        self.all_effects = []
        self.raw = b""
        self.reasons = []

    @property
    def phase(self):
        return self.session.phase.name

    def feed(self, incoming):
        """Feed one input; returns the effects that are not writing."""
        found = self.all_effects = self.session.handle(incoming)
        self.raw = b"".join(one.packets for one in found if isinstance(one, (Send, SendSaved)))
        self.effects = [one for one in found if not isinstance(one, (Send, SendSaved))]
        return self.effects

    @property
    def sent(self):
        packets = []
        at = 0
        while at < len(self.raw):
            version = self.session.version
            packet, at = decode_packet(self.raw, at, version, PACKET_BYTES_MAX, Sender.SERVER)
            packets.append(without_reason(packet, self.reasons))
        return packets

    @property
    def plain(self):
        return b"".join(encode_packet(packet, self.session.version) for packet in self.sent)

    def connect(self, connect, state=None, *, is_present=False):
        """Feed a CONNECT, and answer it as the gateway does; returns the CONNACK."""
        (wish,) = self.feed(connect)
        assert isinstance(wish, OpenState)
        state = SessionState(wish.client_id) if state is None else state
        state.expiry_ms = wish.expiry_ms
        assert self.feed(Opened(state, is_present)) == [Redeliver()]
        (connack,) = self.sent
        assert isinstance(connack, Connack)
        return connack

    def publish(self, *packets):
        """Feed PUBLISH packets as the connection does: plain ones as one batch of the lane."""
        version = self.session.version
        buffer = b"".join(encode_packet(packet, version) for packet in packets)
        columns = PublishColumns()
        is_v5 = version >= ProtocolVersion.V5
        stop = split_publishes(buffer, 0, columns, is_v5=is_v5)
        if stop:
            assert stop == len(buffer)
            return self.feed(
                PublishBatch(columns.topics, columns.payloads, columns.flags, columns.packet_ids)
            )
        (packet,) = packets
        return self.feed(packet)


@pytest.fixture
def script():
    """Make a session that awaits its CONNECT; keywords are options."""

    def make(**options):
        return Script(SessionOptions(**options))

    return make


@pytest.fixture
def connected(script):
    """Make a session whose client `c` is connected; `connect` has fields of its CONNECT."""

    def make(version=ProtocolVersion.V5, *, state=None, is_present=False, connect=None, **options):
        fields = {"client_id": "c", "version": version, **(connect or {})}
        made = script(**options)
        made.connect(Connect(**fields), state, is_present=is_present)
        return made

    return make
