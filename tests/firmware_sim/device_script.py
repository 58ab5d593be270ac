"""One device under a test's hand: its time, its faults and its server."""

from __future__ import annotations

import contextlib
import re

import orjson

from firmware_sim.account import Ledger
from firmware_sim.device import Device, RunPlan
from firmware_sim.effects import Dial
from firmware_sim.line import LineOptions
from firmware_sim.scenario import Field, Kind, LinkSpec, Member
from firmware_sim.signals import Drift
from gateway.mqtt import (
    Connack,
    ProtocolVersion,
    Puback,
    Publish,
    Subscribe,
    decode_packet,
    encode_packet,
)

SEQ = re.compile(rb'"seq":([0-9]+)')
START_MS = 1_700_000_000_000
VERSION = ProtocolVersion.V3_1_1
LINK = LinkSpec(response_ms=5_000, in_flight_max=4, buffer_max=10)
ROOMY = LinkSpec(response_ms=5_000, in_flight_max=4, buffer_max=100_000)


def make_kind(faults=(), rate_hz=10.0, link=LINK):
    fields = (Field("value", Drift(3_600_000.0), decimals=0),)
    return Kind("pump", 1.0, "{kind}-{number}", "{device}", rate_hz, 1, fields, faults, link)


class DeviceScript:
    """Advances a device from one thing that is due to the next, and reads what it sends."""

    def __init__(self, faults=(), rate_hz=10.0, link=LINK, seed=1, kind=None, version=VERSION):
        kind = kind or make_kind(tuple(faults), rate_hz, link)
        self.ledger = Ledger(keeps_readings=True)
        self.account = self.ledger.open_account("pump-1")
        link = kind.link
        options = LineOptions(
            "pump-1", version, keep_alive_s=0, response_ms=link.response_ms, back_off_first_ms=10
        )
        self.device = Device(
            Member(kind, 0, "pump-1"), RunPlan(seed, START_MS), options, self.account
        )
        self.now_ms = START_MS
        self.is_reachable = True
        self.acknowledges = True
        self.sent = []
        """(seq, packet id, dup) of every PUBLISH, in order."""
        self.readings = []
        """Every payload that is JSON, read."""
        self.payloads = []
        """(seq, payload) of every PUBLISH, in order."""
        self.told = []
        """(topic, payload) of every PUBLISH that is no reading, in order."""
        self.subscribed = []
        self.acknowledged = []
        """The packet identifiers of deliveries that the device has taken."""
        self.properties = []
        self.version = version

    def run(self, ms):
        """Let time pass, and answer as a server does."""
        end_ms = self.now_ms + ms
        while (due_ms := self.device.next_due_ms) is not None and due_ms <= end_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.perform(self.device.advance(self.now_ms))
        self.now_ms = end_ms

    def perform(self, effects):
        for effect in effects:
            if isinstance(effect, Dial):
                self._answer_dial()
            elif payload := getattr(effect, "payload", b""):
                self._hear(payload)

    def break_connection(self):
        self.device.lost(self.now_ms, "gone")

    def say(self, packet):
        encoded = encode_packet(packet, self.version)
        self.perform(self.device.received(encoded, self.now_ms))

    def _answer_dial(self):
        if self.is_reachable:
            self.device.opened(self.now_ms)
            self.say(Connack())
        else:
            self.device.lost(self.now_ms, "Connection refused")

    def _hear(self, payload):
        at, answers = 0, []
        while at < len(payload):
            packet, at = decode_packet(payload, at, self.version, 1 << 20)
            if isinstance(packet, Subscribe):
                self.subscribed += [each.topic_filter for each in packet.subscriptions]
            elif isinstance(packet, Puback):
                self.acknowledged.append(packet.packet_id)
            elif isinstance(packet, Publish) and packet.topic != "pump-1":
                self.told.append((packet.topic, packet.payload))
                answers.append(packet.packet_id)
            elif isinstance(packet, Publish):
                self.properties.append(packet.properties)
                seq = int(SEQ.search(packet.payload)[1])
                with contextlib.suppress(orjson.JSONDecodeError):
                    self.readings.append(orjson.loads(packet.payload))
                self.payloads.append((seq, packet.payload))
                self.sent.append((seq, packet.packet_id, packet.dup))
                answers.append(packet.packet_id)
        for packet_id in answers:
            if self.acknowledges and packet_id:
                self.say(Puback(packet_id))

    @property
    def seqs(self):
        return [seq for seq, _, _ in self.sent]
