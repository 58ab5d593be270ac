"""A server without a network: the real parts around a store and transports that tests drive."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial

import pytest

from gateway.clock import ManualClock
from gateway.devices import DeviceTopics
from gateway.mqtt import (
    Connack,
    Connect,
    Properties,
    ProtocolVersion,
    Puback,
    Publish,
    Sender,
    Suback,
    Subscribe,
    Subscription,
    decode_packet,
    encode_packet,
)
from gateway.routing import Router, StreamRoute
from gateway.server import MqttServer, ServerOptions
from gateway.server.connection import Connection
from gateway.store import StreamSpec, partition_of
from gateway.store.memory import MemoryStore, Request
from tests.harness.reasons import without_reason
from tests.harness.waiting import until

PACKET_BYTES_MAX = 1 << 28
STREAMS = [StreamSpec("power", partitions=1), StreamSpec("rest", partitions=3)]
ROUTES = [StreamRoute("power", ("power/#",), 1), StreamRoute("rest", ("plant/#", "t"), 3)]
SLOTS = [(spec.name, number) for spec in STREAMS for number in range(spec.partitions)]


async def turn(count=1):
    """Let the event loop come round."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        came_round = loop.create_future()
        loop.call_soon(came_round.set_result, None)
        await came_round


class ScriptedStore(MemoryStore):
    """A store whose appends fail, or wait, when a test says so.

    As an engine does: while it fails, everything that is appended fails, in order, and it goes on
    failing until those whose append failed have heard of it.
    """

    def __init__(self, hole=0):
        super().__init__(hole)
        self.error = None
        self.is_stuck = False
        self.appends = []
        self._waiting = deque()

    def append(self, runs, puts=()):
        self.appends.append((list(runs), list(puts)))
        if self.error is None and not self.is_stuck:
            return super().append(runs, puts)
        future = asyncio.get_running_loop().create_future()
        if self.error is not None:
            future.set_exception(self.error)
        else:
            self._waiting.append((runs, puts, future))
        return future

    def unstick(self, error=None):
        """Let the appends that wait be committed, or fail."""
        self.is_stuck = False
        if error is not None:
            self.error = error
        elif self.error is not None:
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, setattr, self, "error", None)
        while self._waiting:
            runs, puts, future = self._waiting.popleft()
            if error is not None:
                future.set_exception(error)
            else:
                if not self._queue:
                    asyncio.get_running_loop().call_soon(self._commit)
                self._queue.append(Request(runs, puts, "", {}, future))

    def payloads(self, stream=None):
        """What is stored: payloads by partition, in the order of their offsets."""
        return {
            slot: [record.payload for batch in log.batches for record in batch.records()]
            for slot, log in self._logs.items()
            if log.batches and stream in (None, slot[0])
        }


class Pipe(asyncio.Transport):
    """A transport into memory, whose other end reads when a test says so."""

    def __init__(self, peer=None):
        super().__init__({"peername": peer})
        self.protocol = None
        self.written = b""
        self.high = 1 << 30
        self.is_reading = True
        self.is_open = True
        self.is_blocked = False
        self._is_clogged = False
        self._unread = b""

    def set_write_buffer_limits(self, high=None, low=None):
        self.high = high

    def write(self, data):
        assert self.is_open
        if not self.is_blocked:
            self.written += data
            return
        self._unread += data
        if len(self._unread) > self.high and not self._is_clogged:
            self._is_clogged = True
            self.protocol.pause_writing()

    def unblock(self):
        """The client reads again."""
        self.is_blocked = False
        self.written += self._unread
        self._unread = b""
        if self._is_clogged:
            self._is_clogged = False
            self.protocol.resume_writing()

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True

    def is_closing(self):
        return not self.is_open

    def close(self):
        if self.is_open:
            self.is_open = False
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self):
        self.close()


class Client:
    """The far end of a connection: it encodes what a test says and decodes what it hears."""

    def __init__(self, server, version=ProtocolVersion.V5, peer=None):
        self.version = version
        self.pipe = Pipe(peer)
        self.connection = Connection(server.hub)
        self.pipe.protocol = self.connection
        self.connection.connection_made(self.pipe)
        self._heard = b""
        self._next_id = 0
        self.reasons = []

    @property
    def is_open(self):
        return self.pipe.is_open

    def send_bytes(self, data):
        assert self.pipe.is_open
        self.connection.data_received(data)

    def send(self, *packets):
        self.send_bytes(b"".join(encode_packet(packet, self.version) for packet in packets))

    def heard(self):
        """The packets that have come since the last time; why is in `reasons`, not in them."""
        self._heard += self.pipe.written
        self.pipe.written = b""
        packets, at = [], 0
        while found := decode_packet(
            self._heard, at, self.version, PACKET_BYTES_MAX, Sender.SERVER
        ):
            packet, at = found
            packets.append(without_reason(packet, self.reasons))
        self._heard = self._heard[at:]
        return packets

    def connect(self, client_id="c", **fields):
        """Say CONNECT; returns the CONNACK."""
        self.send(Connect(client_id, self.version, **fields))
        (connack, *rest) = self.heard()
        assert isinstance(connack, Connack)
        self.heard_behind_connack = rest
        return connack

    async def subscribe(self, *topic_filters, qos=1, **options):
        """Say SUBSCRIBE and wait for the SUBACK; returns what came with it."""
        self._next_id += 1
        wanted = tuple(Subscription(name, qos, **options) for name in topic_filters)
        self.send(Subscribe(self._next_id, wanted))
        found = []

        def has_suback():
            found.extend(self.heard())
            return any(isinstance(packet, Suback) for packet in found)

        await until(has_suback, "a SUBACK")
        return [packet for packet in found if not isinstance(packet, Suback)]

    def publish(self, topic, *payloads, qos=1, retain=False):
        """Publish, under packet identifiers that are the numbers of the payloads if they can be."""
        packets = []
        for payload in payloads:
            self._next_id = self._next_id % 65_535 + 1
            packet_id = self._next_id if qos else 0
            packets.append(Publish(topic, payload, qos, packet_id, retain))
        self.send(*packets)
        return [packet.packet_id for packet in packets]

    def deliveries(self, *, acknowledge=True):
        """The messages that have come since the last time, acknowledged at once."""
        packets = [packet for packet in self.heard() if isinstance(packet, Publish)]
        if acknowledge:
            self.send(*(Puback(packet.packet_id) for packet in packets if packet.qos))
        return packets

    def lose(self):
        """Break the connection without a word."""
        self.pipe.is_open = False
        self.connection.connection_lost(None)


def kept(seconds=60, **fields):
    """Fields of a CONNECT that asks for a session that lives on."""
    return {
        "clean_start": False,
        "properties": Properties(session_expiry_interval_s=seconds),
        **fields,
    }


def stored(server):
    return [payload for payloads in server.store.payloads().values() for payload in payloads]


@pytest.fixture
async def edge():
    """Start a server; keywords are its options, and `session` those of its sessions."""
    servers = []

    async def start(store=None, clock=None, **options):
        store = ScriptedStore() if store is None else store
        for spec in STREAMS:
            await store.ensure(spec)
        router = Router(ROUTES, DeviceTopics().device_of, partition_of)
        made = ServerOptions(**{"listeners": (), **options})
        server = MqttServer(made, store, router, clock or ManualClock(10**12), SLOTS)
        await server.start()
        server.store = store
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.store.unstick()
        server.store.is_stuck = False
        await server.stop()


@pytest.fixture
def gateway(edge):
    """Start a server with these devices and enrolment groups; keywords are options of access."""
    from tests.gateway.server.registered import started  # it imports this module

    return partial(started, edge)
