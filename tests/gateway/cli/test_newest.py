import json
import random

import pytest

from gateway.cli.newest import WINDOW_LEAST
from gateway.store import Scan
from tests.gateway.cli.test_streams import a_run, fill, read_json, run_command

DEVICES = ("pump-7", "pump-8", "pump-9")


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Three devices in two partitions, one of them rare, beyond one window of a search."""
    rng = random.Random(4)
    data_dir = tmp_path_factory.mktemp("log")
    runs = []
    for number in range(60):
        device = DEVICES[2] if number % 20 == 3 else rng.choice(DEVICES[:2])
        payloads = [b"%d" % (100 * number + own) for own in range(100)]
        runs.append(a_run(payloads, partition=DEVICES.index(device) % 2, device=device))
    fill(data_dir, *runs)
    return data_dir


@pytest.mark.parametrize("count", [1, 7, 250, 5_000, 100_000])
@pytest.mark.parametrize("choice", [(), ("--device", "pump-9"), ("--topic", "plant/pump-8/#")])
def test_the_newest_are_those_at_the_end_of_everything(log, count, choice):
    everything = read_json(log, *choice)
    assert read_json(log, *choice, "--last", count) == everything[-count:]


def test_the_newest_of_a_stretch_lie_within_it(log):
    stretch = ("--from", "@100", "--to", "@300", "--partition", 1)
    assert read_json(log, *stretch, "--last", 20) == read_json(log, *stretch)[-20:]


def test_only_the_end_of_a_partition_is_read(log, monkeypatch):
    windows = []

    class Watched(Scan):
        def __init__(self, reader, starts, stops):
            windows.extend(stops[key] - starts[key] for key in starts)
            super().__init__(reader, starts, stops)

    monkeypatch.setattr("gateway.cli.newest.Scan", Watched)
    read_json(log, "--last", 3)
    assert max(windows) <= WINDOW_LEAST


def test_the_newest_exclude_other_ways_to_stop(log):
    for other in (("--limit", 3), ("--group", "g")):
        result = run_command(log, "read", "telemetry", "--last", 3, *other)
        assert result.exit_code == 2
        assert "--last goes with neither --limit nor --group" in result.stderr


def test_the_newest_of_nothing_are_none(tmp_path):
    fill(tmp_path)
    assert read_json(tmp_path, "--last", 3) == []
    assert json.dumps(read_json(tmp_path, "--last", 3, "--device", "x")) == "[]"
