"""kill -9 and power cuts at any moment: no acknowledged event is lost, and no alarm changes."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.hasty_server import HastyServer
from tests.harness.devices import (
    Device,
    acknowledged_counts,
    finish,
    losses,
    play,
    take_acks,
)
from tests.harness.gateway_process import GatewayEnded, GatewayProcess, run_penstock
from tests.harness.log_follower import LogFollower
from tests.harness.log_reader import (
    LoggedEvent,
    assert_offsets_are_dense,
    read_log,
)
from tests.harness.raw_client import connected
from tests.harness.waiting import wait_for

SEED = 20_260_102
RULES = Path(__file__).with_name("rules.yaml")
KILLS = 25
CUTS = 12
DEVICES = 5
LIFE_S_MAX = 0.3
CRASH_S_MAX = 10.0
ALARMS_S_MAX = 20.0
IN_FLIGHT_OF_REPLAY = 100

pytestmark = pytest.mark.slow


@pytest.fixture
def devices():
    devices = [Device(f"pump-{number}", SEED) for number in range(DEVICES)]
    yield devices
    for device in devices:
        device.hang_up()


def connect_all(devices: list[Device], port: int) -> None:
    for device in devices:
        device.connect(port)


def hang_up_all(devices: list[Device]) -> dict[str, int]:
    """Take the last acks of a dead server; returns how many events of each topic must be stored."""
    take_acks(devices)
    for device in devices:
        device.hang_up()
    return acknowledged_counts(devices)


def after(seconds: float):
    """A condition that is true when `seconds` have passed."""
    until_s = time.monotonic() + seconds
    return lambda: time.monotonic() > until_s


Alarms = dict[tuple[str, str], list[tuple[str, object, str]]]


def alarms_of(transitions: list[dict]) -> Alarms:
    """What happened to each alarm, in its order."""
    alarms: Alarms = defaultdict(list)
    for one in transitions:
        alarms[one["rule"], one["key"]].append((one["event"], one["time"], one["severity"]))
    return dict(alarms)


def logged_alarms(data: Path) -> Alarms:
    return alarms_of([event.payload for event in read_log(data, "alerts")])


def replayed_alarms(data: Path) -> Alarms:
    """The alarms of the rules over the log as it is now."""
    done = run_penstock("rules", "replay", "--data", data, "--rules", RULES, "--json")
    assert done.returncode == 0, done.stderr
    return alarms_of([json.loads(line) for line in done.stdout.splitlines()])


def publish_again(log: list[LoggedEvent], devices: list[Device], port: int) -> None:
    """Publish what a log holds, resends included, each device in its order, in one go."""
    for device in devices:
        with connected(port, device.name) as client:
            events = [event for event in log if event.device == device.name]
            for number, event in enumerate(events, start=1):
                client.publish(event.topic, own_bytes(event), packet_id=number)
                if number % IN_FLIGHT_OF_REPLAY == 0:
                    client.read_acks(IN_FLIGHT_OF_REPLAY)
            client.read_acks(len(events) % IN_FLIGHT_OF_REPLAY)


def own_bytes(event: LoggedEvent) -> bytes:
    return event.payload if isinstance(event.payload, bytes) else json.dumps(event.payload).encode()


def wait_for_alarms(data: Path, expected: Alarms) -> Alarms:
    """The alarms in the log when they are as expected, or when the time for that is over."""
    try:
        wait_for(lambda: logged_alarms(data) == expected, "alarms", seconds=ALARMS_S_MAX)
    except TimeoutError:
        return logged_alarms(data)
    return expected


def wait_for_all(devices: list[Device], follower: LogFollower, due: dict[str, int]) -> None:
    """See all that was acknowledged beside the running gateway, or fail with what is missing."""
    due_count = sum(due.values())
    with suppress(TimeoutError):
        wait_for(lambda: len(follower.events) >= due_count, "the reader", poll_s=0.02)
        wait_for(lambda: not losses(devices, follower.events, due), "the reader", poll_s=0.05)
    assert losses(devices, follower.events, due) == []


def test_kills_at_random_moments_lose_no_acknowledged_event_and_change_no_alarm(tmp_path, devices):
    print("seed", SEED)
    chance = random.Random(SEED)
    with GatewayProcess(tmp_path / "log", rules=RULES) as gateway:
        with LogFollower(gateway.data, "telemetry") as follower:
            for _ in range(KILLS):
                connect_all(devices, gateway.port)
                play(devices, after(chance.uniform(0.01, LIFE_S_MAX)))
                gateway.kill()
                due = hang_up_all(devices)
                gateway.start()
                wait_for_all(devices, follower, due)
        connect_all(devices, gateway.port)
        assert finish(devices, after(CRASH_S_MAX))
        due = hang_up_all(devices)
        log = read_log(gateway.data, "telemetry")
        assert losses(devices, log, due) == []
        assert due == {device.name: len(device.events) for device in devices}
        assert_offsets_are_dense(log)
        expected = replayed_alarms(gateway.data)
        assert expected
        assert wait_for_alarms(gateway.data, expected) == expected
        assert_offsets_are_dense(read_log(gateway.data, "alerts"))
    with GatewayProcess(tmp_path / "uninterrupted", rules=RULES) as gateway:
        publish_again(log, devices, gateway.port)
        assert wait_for_alarms(gateway.data, expected) == expected


def arm(disk, chance: random.Random) -> None:
    """Set a power cut at a write or a sync that is soon to come."""
    writes, syncs, *_ = disk.counts
    point = chance.choice(
        [
            {"kill_at_write": writes + chance.randrange(1, 40)},
            {"kill_at_write": writes + chance.randrange(1, 40), "torn": 1},
            {"kill_at_fsync": syncs + chance.randrange(1, 15)},
            {"kill_after_fsync": syncs + chance.randrange(1, 15)},
        ]
    )
    print(point)
    disk.set(**point, lose_unsynced=1)


def live_until_cut(server: GatewayProcess, devices: list[Device]) -> dict[str, int]:
    # The cut may come while they connect: that, too, is written somewhere.
    with suppress(ConnectionError):
        connect_all(devices, server.port)
    is_late = after(CRASH_S_MAX)
    play(devices, lambda: not server.is_running or is_late())
    assert not server.is_running, "the cut never came"
    return hang_up_all(devices)


def test_power_cuts_at_any_write_or_sync_lose_no_acknowledged_event(disk, devices):
    print("seed", SEED)
    chance = random.Random(SEED)
    with GatewayProcess(disk.watched, rules=RULES, environment=disk.environment) as gateway:
        for _ in range(CUTS):
            arm(disk, chance)
            due = live_until_cut(gateway, devices)
            disk.heal()
            gateway.start()
            log = read_log(gateway.data, "telemetry")
            assert losses(devices, log, due) == []
            assert_offsets_are_dense(log)
        expected = replayed_alarms(gateway.data)
        assert wait_for_alarms(gateway.data, expected) == expected


def test_a_power_cut_while_it_starts_leaves_a_directory_that_starts(disk, devices):
    print("seed", SEED)
    chance = random.Random(SEED)
    gateway = GatewayProcess(disk.watched, environment=disk.environment)
    for _ in range(CUTS // 2):
        writes, syncs, *_ = disk.counts
        point = chance.choice(
            [
                {"kill_at_write": writes + chance.randrange(1, 8)},
                {"kill_at_fsync": syncs + chance.randrange(1, 4)},
            ]
        )
        print(point)
        disk.set(**point, lose_unsynced=1)
        try:
            gateway.start()
        except GatewayEnded as ended:
            assert ended.exit_code == -signal.SIGKILL, ended
            continue
        gateway.kill()
    disk.heal()
    with gateway:
        connect_all(devices, gateway.port)
        play(devices, after(0.1))
        assert finish(devices, after(CRASH_S_MAX))
        log = read_log(gateway.data, "telemetry")
        assert losses(devices, log, hang_up_all(devices)) == []


def test_the_check_of_power_cuts_sees_a_hasty_server(disk, devices):
    with HastyServer(disk.watched, environment=disk.environment) as server:
        disk.set(kill_at_fsync=disk.counts.syncs + 20, lose_unsynced=1)
        due = live_until_cut(server, devices)
        assert losses(devices, server.stored(), due) != []
