from __future__ import annotations

import socket

import orjson
import pytest

from firmware_sim.connecting import Target
from firmware_sim.failures import ServerAbsent, SimulationFailed
from firmware_sim.recording import Recording, RecordingInvalid
from firmware_sim.replay import Replay, ReplayOptions
from tests.firmware_sim.sink_server import SinkServer, system_clock


def recording(tmp_path, rows):
    path = tmp_path / "r.csv"
    lines = [f"{1_386_018_900 + number},{number}.5" for number in range(rows)]
    path.write_text("timestamp,value\n" + "\n".join(lines) + "\n")
    return Recording(path, "plant/m1/t", "timestamp")


def replay_to(port, found, **options):
    return Replay(found, ReplayOptions("replayer", **options), Target(port=port), system_clock())


async def test_every_row_arrives_once_and_in_order(tmp_path):
    async with SinkServer() as server:
        final = await replay_to(server.port, recording(tmp_path, 3_000)).run(lambda _: None)
    values = [orjson.loads(taken.payload)["value"] for taken in server.sink.taken]
    assert values == [number + 0.5 for number in range(3_000)]
    assert final.acknowledged == final.rows == 3_000
    assert {taken.qos for taken in server.sink.taken} == {1}


async def test_a_server_that_dies_gets_the_rest_and_the_unacknowledged_again(tmp_path):
    async with SinkServer() as server:
        server.dies_after = 1_000
        final = await replay_to(server.port, recording(tmp_path, 3_000), window=50).run(
            lambda _: None
        )
    values = [orjson.loads(taken.payload)["value"] for taken in server.sink.taken]
    assert list(dict.fromkeys(values)) == [number + 0.5 for number in range(3_000)]
    assert final.acknowledged == 3_000
    assert (final.reconnects, server.deaths) == (1, 1)
    assert final.repeats <= 50


async def test_the_session_of_a_replay_is_removed(tmp_path):
    async with SinkServer() as server:
        await replay_to(server.port, recording(tmp_path, 10)).run(lambda _: None)
    assert [connect.clean_start for connect in server.sink.connects] == [True, False, True]


async def test_qos_0_is_sent_without_acknowledgements(tmp_path):
    async with SinkServer() as server:
        final = await replay_to(server.port, recording(tmp_path, 500), qos=0).run(lambda _: None)
    assert (final.published, final.acknowledged) == (500, 0)
    assert len(server.sink.taken) == 500


async def test_a_server_that_never_acknowledges_is_given_up(tmp_path):
    async with SinkServer() as server:
        server.sink.acknowledges = False
        replay = replay_to(server.port, recording(tmp_path, 500), give_up_ms=100)
        with pytest.raises(SimulationFailed, match="0 of 500 rows are acknowledged"):
            await replay.run(lambda _: None)


async def test_a_stopped_replay_tells_how_far_it_came(tmp_path):
    async with SinkServer() as server:
        replay = replay_to(server.port, recording(tmp_path, 500), speed=10.0)
        final = await replay.run(lambda _: replay.stop())
    assert 0 < final.acknowledged < 500


async def test_without_a_server_nothing_is_sent(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        replay = replay_to(probe.getsockname()[1], recording(tmp_path, 5))
        with pytest.raises(ServerAbsent):
            await replay.run(lambda _: None)


def test_a_wrong_row_is_found_before_anything_is_sent(tmp_path):
    found = recording(tmp_path, 5)
    found.path.write_text(found.path.read_text() + "never,1\n")
    with pytest.raises(RecordingInvalid, match=r"r\.csv:7: 'never' is not a time"):
        replay_to(1, found)
