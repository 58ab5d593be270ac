from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import orjson
import pytest

from gateway.app import build_gateway
from gateway.clock import SystemClock
from gateway.config import GatewayConfig
from gateway.devices import DEVICES_TABLE, Device, encode_device
from gateway.errors import ChangeRefused
from gateway.server import ListenerOptions, ServerOptions
from gateway.store import Change, Put, RemoteDesk, StoreOptions, open_store
from tests.harness.raw_client import RawClient, connected
from tests.harness.waiting import until

SERVER = ServerOptions(listeners=(ListenerOptions(port=0),))


@asynccontextmanager
async def running(tmp_path):
    gateway = build_gateway(GatewayConfig(data_dir=tmp_path / "log", server=SERVER), SystemClock())
    ((_, port),) = await gateway.start()
    desk = await RemoteDesk.connect(tmp_path / "log")
    try:
        yield port, desk, gateway
    finally:
        await desk.close()
        await gateway.stop()


def listening(port):
    client = RawClient(port)
    client.connect()
    client.subscribe(("twin/pump-7/desired", 1), ("twin/pump-7/delta", 1))
    return client


def contents(deliveries):
    return {one.topic: orjson.loads(one.payload) for one in deliveries}


def ask(desk, patch, if_version=None):
    return desk.ask("twin.set", "pump-7", orjson.dumps(patch), if_version, "console")


async def test_a_device_sees_its_twin_change_and_reports(tmp_path):
    async with running(tmp_path) as (port, desk, _):
        await ask(desk, {"a": 1})

        client = await asyncio.to_thread(listening, port)
        try:
            earlier = await asyncio.to_thread(client.collect, 2)
            await ask(desk, {"a": 2})
            later = await asyncio.to_thread(client.collect, 2)
        finally:
            client.close()
    assert contents(earlier) == {
        "twin/pump-7/desired": {"version": 1, "desired": {"a": 1}},
        "twin/pump-7/delta": {"version": 1, "delta": {"a": 1}},
    }
    assert contents(later) == {
        "twin/pump-7/desired": {"version": 2, "desired": {"a": 2}},
        "twin/pump-7/delta": {"version": 2, "delta": {"a": 2}},
    }


async def test_a_conflict_is_told_over_the_socket(tmp_path):
    async with running(tmp_path) as (_, desk, _):
        assert (await ask(desk, {"a": 1}, 0))["etag"] == "1.0"
        with pytest.raises(ChangeRefused, match="has version 1, not 0"):
            await ask(desk, {"a": 2}, 0)


async def test_tags_reach_the_log_when_they_change_and_at_the_start(tmp_path):
    async def tags_told(gateway):
        chunk = await gateway._store.fetch("twins", 0, 0)
        return [
            orjson.loads(record.payload)["value"]
            for batch in chunk.batches
            for record in batch.records()
        ]

    entry = encode_device(Device("pump-7", tags={"site": "north"}))
    async with running(tmp_path) as (_, desk, gateway):
        await desk.change([Change(DEVICES_TABLE, "pump-7", entry, None)])

        async def is_told():
            return await tags_told(gateway) == [{"site": "north"}]

        await until(is_told, "the tags")
    store = await open_store(StoreOptions(tmp_path / "log"), SystemClock())
    south = encode_device(Device("pump-7", tags={"site": "south"}))
    await store.append([], [Put(DEVICES_TABLE, "pump-7", south)])
    await store.close()
    async with running(tmp_path) as (_, _, gateway):

        async def is_told_again():
            return await tags_told(gateway) == [{"site": "north"}, {"site": "south"}]

        await until(is_told_again, "the tags at the start")


def away_and_back(port):
    """A client with a session that lives on: it listens, leaves, and gives how to come back."""
    client = connected(port, "pump-7", clean=False)
    client.subscribe(("twin/pump-7/delta", 1), ("command/pump-7/request/+", 1))
    client.close()
    return lambda: connected(port, "pump-7", clean=False)


async def test_a_session_that_comes_back_gets_one_delta_and_what_waits(tmp_path):
    async with running(tmp_path) as (port, desk, gateway):
        come_back = await asyncio.to_thread(away_and_back, port)
        tree = gateway._server.hub.fanout.tree
        await until(lambda: not tree.is_heard("twin", "pump-7"), "the end of the connection")
        for value in (1, 2, 3):
            await ask(desk, {"a": value})
        wanted = orjson.dumps({"name": "ping"})
        queued = await desk.ask("command.send", "pump-7", "c1", wanted, "console")
        client = await asyncio.to_thread(come_back)
        try:
            heard = contents(await asyncio.to_thread(client.collect, 2))
        finally:
            client.close()
    assert queued["state"] == "queued"
    assert heard["twin/pump-7/delta"] == {"version": 3, "delta": {"a": 3}}
    assert heard["command/pump-7/request/c1"]["name"] == "ping"
