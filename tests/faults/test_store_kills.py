"""`kill -9` at any moment of a log that is appended to, retained, compacted and read by groups.

`PENSTOCK_KILLS=200` kills that often instead of a few times.
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from gateway.store import audit_log
from tests.faults.store_torture import MARKS, Promises, check
from tests.harness.disk_trace import Crash
from tests.harness.waiting import wait_for

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("PENSTOCK_KILLS", "8"))
MARKS_MAX = 110

pytestmark = pytest.mark.slow


def kill_at_mark(data_dir, seed, count):
    """Let a process use a new log until it was promised so many things; then kill it."""
    data_dir.mkdir()
    command = [sys.executable, "-m", "tests.faults.torture_workload", str(data_dir), str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as child:
        wait_for(
            lambda: child.poll() is not None or len(marks_of(data_dir)) >= count,
            "promises",
            seconds=60,
            poll_s=0.0005,
        )
        child.kill()
    return child.returncode


def marks_of(data_dir):
    path = data_dir / MARKS
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [line for line in lines if line.endswith(b"\n")]


@pytest.mark.parametrize("seed", range(KILLS))
async def test_a_kill_breaks_no_promise_of_the_log(tmp_path, seed):
    data_dir = tmp_path / "log"
    count = random.Random(seed).randint(1, MARKS_MAX)
    assert kill_at_mark(data_dir, seed, count) in (-signal.SIGKILL, 0)
    promises = Promises(is_loose=seed % 4 == 0)
    for line in marks_of(data_dir):
        promises.take(orjson.loads(line))
    await check(data_dir, promises, Crash.kill)
    assert audit_log(data_dir)["balanced"]
