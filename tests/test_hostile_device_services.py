"""Whatever anybody sends under the topics of the services, they go on."""

from __future__ import annotations

import random

import orjson
import pytest

from gateway.mqtt import Properties, encode_properties
from gateway.pipeline.devices.commands import CommandService
from gateway.pipeline.devices.twins import TwinService
from tests.harness.device_services import Bench

SEEDS = range(4)
TOPICS = (
    *("twin/a/reported", "twin/a/set", "twin/a/get", "twin/a/changed", "twin/a/reported/x"),
    *("command/a/send/c1", "command/a/send", "command/a/response/c1", "command/a/cancel/c1"),
    *("command/a/send/\x01", "command/a/response/", "twin/\x7f/set", "twin/ /reported"),
)
LEAVES = [None, True, 0, -1, 1e400, 2**70, "", "x" * 70_000, "\x00", "$version", [], {}, [[]]]
NAMES = ["name", "payload", "timeout_ms", "status", "result", "$version", "", "a", "\n", "é"]


def deep(value, depth):
    for _ in range(depth):
        value = [value]
    return value


def hostile(chance):
    """Some bytes: noise, JSON of the wrong shape, too deep, too large, or nearly right."""
    kind = chance.random()
    if kind < 0.2:
        return chance.randbytes(chance.randint(0, 40))
    if kind < 0.3:
        depth = chance.choice([9, 12, 300, 2_000])
        return b'{"name": "a", "payload": ' + b"[" * depth + b"]" * depth + b"}"
    if kind < 0.4:
        return chance.choice([b"", b"null", b'"\\ud800"', b"[1,", b"{" * 5_000, b"1e999"])
    content = {chance.choice(NAMES): chance.choice(LEAVES) for _ in range(chance.randint(0, 4))}
    content = {key: value if value != 2**70 else 1.5 for key, value in content.items()}
    return orjson.dumps(content).replace(b"1.5", b"18446744073709551616000")


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_services_survive_whatever_is_sent(seed):
    bench, chance = await Bench().open(), random.Random(seed)
    bench.router._streams = bench.router._streams[:-1]
    bench.heard.add(("command", "a"))
    reply = encode_properties(Properties(response_topic="reply/x", correlation_data=b"\xff" * 500))
    twins, commands = (kind(bench.around.is_heard) for kind in (TwinService, CommandService))
    async with bench.at_work(twins) as twin_loop, bench.at_work(commands) as command_loop:
        for number in range(120):
            properties = chance.choice([b"", reply, b"\xff\xff", b"\x08"])
            await bench.publish(chance.choice(TOPICS), hostile(chance), properties=properties)
            if number % 20 == 0:
                twin_loop.note_arrival(chance.choice(["a", "", "x/y", "\x00"]))
                command_loop.note_arrival(chance.choice(["a", "", "x/y", "\x00"]))
                bench.clock.advance(100_000)
        await bench.publish("twin/last/reported", {"a": seed})
        await bench.publish("command/last/send/last", {"name": "ping"})
        await bench.publish("twin/last/get", b"")
        said = await bench.until_said("device-questions", 1, "state")
        while said[-1][0] != "twin/last/state":
            said = await bench.until_said("device-questions", len(said) + 1, "state")

        async def act(turn):
            return orjson.loads(b"1")

        assert await command_loop.ask(act) == 1
