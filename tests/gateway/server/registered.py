"""A server with a registry and enrolment groups that tests change as the socket does."""

from __future__ import annotations

import orjson

from gateway.devices import (
    AUDIT_STREAM,
    DEVICES_TABLE,
    GROUPS_TABLE,
    ROLES,
    Device,
    Role,
    encode_device,
    encode_group,
    key_of,
    new_key,
)
from gateway.mqtt import ProtocolVersion, ReasonCode
from gateway.server import PRESENCE_STREAM, AccessOptions
from gateway.store import Change, StreamSpec, TableDesk
from tests.gateway.server.conftest import Client, ScriptedStore
from tests.harness.waiting import until

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
LOCAL = ("127.0.0.1", 5)
FAR = ("192.0.2.7", 5)
SECRET = new_key(bytes(range(32)))
OTHER = new_key(bytes(32))
DEVICE_ROLE = Role(("plant/{device}/#", "power/{device}"), ("plant/{device}/#",))


def pump(device_id="p-7", *secrets, **fields):
    keys = tuple(key_of(secret, 0) for secret in secrets or (SECRET,))
    return Device(device_id, keys=keys, **fields)


class Gateway:
    """A server with a registry that tests change as the socket does."""

    def __init__(self, server, store):
        self.server = server
        self.store = store
        self.tables = TableDesk(store)
        server.hub.gate.watch(self.tables)

    async def put_group(self, group):
        before = await self.store.entry(GROUPS_TABLE, group.id)
        await self.tables.change([Change(GROUPS_TABLE, group.id, encode_group(group), before)])

    async def put(self, device):
        before = self.server.hub.gate.registry.encoded(device.id)
        await self.tables.change([Change(DEVICES_TABLE, device.id, encode_device(device), before)])

    def client(self, version=V5, peer=FAR):
        return Client(self.server, version, peer)

    def joined(self, device_id="p-7", secret=SECRET, version=V5, **fields):
        """A client of a device that has been let in."""
        client = self.client(version)
        found = client.connect(device_id, **login(device_id, secret), **fields)
        assert found.reason_code == ReasonCode.SUCCESS
        return client

    async def events(self, stream, count):
        """What the gateway has said of itself, when there is so much."""
        return await until(
            lambda: (
                found
                if len(found := [orjson.loads(one) for one in self.said(stream)]) >= count
                else None
            ),
            f"{count} events in {stream}",
        )

    def said(self, stream):
        return self.store.payloads(stream).get((stream, 0), [])


def login(username, secret):
    return {"username": username, "password": secret.encode()}


async def started(edge, *devices, groups=(), clock=None, **options):
    """A gateway with these devices and groups; keywords are options of its access."""
    store = ScriptedStore()
    for name in (AUDIT_STREAM, PRESENCE_STREAM):
        await store.ensure(StreamSpec(name, partitions=1))
    for device in devices:
        await store.table(DEVICES_TABLE).put(device.id, encode_device(device))
    for group in groups:
        await store.table(GROUPS_TABLE).put(group.id, encode_group(group))
    options = {"roles": {**ROLES, "device": DEVICE_ROLE}, **options}
    server = await edge(store, clock, access=AccessOptions(**options))
    return Gateway(server, store)
