from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

from firmware_sim.load.options import StormLoad
from tests.harness.gateway_process import environment_of


def test_it_publishes_until_it_is_told_to_stop_and_times_every_ack(gateway):
    load = StormLoad(port=gateway.port, steady=3, rate_hz=50.0)
    with subprocess.Popen(
        [sys.executable, "-m", "firmware_sim.load.child", "steady"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment_of(),
    ) as child:
        for line, word in ((json.dumps(asdict(load)), "ready"), ("go", "measuring")):
            child.stdin.write(f"{line}\n")
            child.stdin.flush()
            assert child.stdout.readline() == f"{word}\n"
        output, _ = child.communicate("stop\n")
    measured = json.loads(output)
    assert measured["unacknowledged"] == 0
    assert len(measured["sent_at_s"]) == len(measured["latencies_us"]) > 0
    assert child.returncode == 0
