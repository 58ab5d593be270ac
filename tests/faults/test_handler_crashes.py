"""kill -9 of the gateway while handlers work: what they publish is there once, and in order."""

from __future__ import annotations

import json
import random

import pytest

from tests.faults.test_crashes import after
from tests.harness.gateway_process import GatewayProcess
from tests.harness.log_reader import by_topic, read_log
from tests.harness.raw_client import connected
from tests.harness.waiting import wait_for

SEED = 20_260_103
EVENTS, DEVICES, KILLS = 400, 4, 6
LIFE_S_MAX = 0.6
DRAIN_S_MAX = 60.0
CONFIG = """\
version: 1
streams:
  - {name: doubled, filters: ["doubled/#"], partitions: 2}
  - {name: telemetry, filters: ["#"]}
handlers:
  folder: functions
  functions:
    - {name: double, call: "doubling:double", filter: plant/+/n, concurrency: 2, start: earliest}
"""
DOUBLING = """\
import asyncio
async def double(event):
    await asyncio.sleep(0.01)
    return f"doubled/{event.device}", 2 * event.payload
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def gateway(tmp_path):
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions/doubling.py").write_text(DOUBLING)
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG)
    with GatewayProcess(tmp_path / "log", config=config) as gateway:
        yield gateway


def publish(gateway: GatewayProcess, numbers: range) -> None:
    """Publish numbers, each for one of the devices, and wait until all are stored."""
    with connected(gateway.port) as client:
        for packet_id, number in enumerate(numbers, start=1):
            topic = f"plant/d{number % DEVICES}/n"
            client.publish(topic, json.dumps(number).encode(), packet_id=packet_id)
        client.read_acks(len(numbers))


def doubled_count(gateway: GatewayProcess) -> int:
    return len(read_log(gateway.data, "doubled"))


def test_what_a_handler_publishes_is_there_once_whenever_the_gateway_is_killed(gateway):
    chance = random.Random(SEED)
    share = EVENTS // KILLS
    for life in range(KILLS):
        publish(gateway, range(life * share, (life + 1) * share))
        wait_for(after(chance.uniform(0, LIFE_S_MAX)), "the moment of the kill")
        gateway.kill()
        gateway.start()
    total = share * KILLS
    wait_for(lambda: doubled_count(gateway) >= total, "all the work", seconds=DRAIN_S_MAX)
    assert gateway.terminate() == 0
    found = by_topic(read_log(gateway.data, "doubled"))
    assert found == {
        f"doubled/d{device}": [2 * number for number in range(total) if number % DEVICES == device]
        for device in range(DEVICES)
    }
