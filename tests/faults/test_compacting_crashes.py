import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.clock import ManualClock
from gateway.store import StoreOptions, open_store, verify_log
from tests.gateway.store.building import BASE_MS, everything
from tests.gateway.store.compaction_contract import LATEST, last_values
from tests.harness.faulty_disk import NO_COMPILER, FaultyDisk, built_shim

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("compacting_child.py")


@pytest.mark.skipif(built_shim() is None, reason=NO_COMPILER)
@pytest.mark.parametrize("seed", range(6))
async def test_a_power_cut_at_any_write_of_a_compaction_loses_no_last_value(tmp_path, seed):
    data_dir = tmp_path / "log"
    data_dir.mkdir()
    disk = FaultyDisk(data_dir, tmp_path)
    disk.set(kill_at_write=150 + 61 * seed, lose_unsynced=1, torn=seed % 2)
    environment = {**os.environ, **disk.environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        [sys.executable, str(CHILD), str(data_dir), str(seed)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    acknowledged = [line.split() for line in done.stdout.splitlines()]
    assert acknowledged
    store = await open_store(StoreOptions(data_dir), ManualClock(BASE_MS))
    records = await everything(store, LATEST)
    found = {device: int(value) for device, value in last_values(records).items()}
    for device, turn in dict(acknowledged).items():
        # One append more may be in the log than its child lived to tell.
        assert found[device] == int(turn) or found[device] == len(acknowledged)
    await store.close()
    disk.close()
    assert verify_log(data_dir)["faults"] == []
