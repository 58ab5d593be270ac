from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from firmware_sim.load.child import KINDS, prepare
from firmware_sim.load.options import ConnectLoad
from tests.harness.gateway_process import environment_of


def run(kind, load, *lines):
    return subprocess.run(
        [sys.executable, "-m", "firmware_sim.load.child", kind],
        input="\n".join([json.dumps(asdict(load)), *lines, ""]),
        capture_output=True,
        text=True,
        check=False,
        env=environment_of(),
    )


def test_a_child_says_how_far_it_is_and_ends_with_its_result(gateway):
    load = ConnectLoad(port=gateway.port, at_once=2, warm_up_s=0.0, measured_s=0.1)
    ended = run("connect", load, "go", "go on")
    *words, result = ended.stdout.splitlines()
    assert words == ["ready", "measuring", "measured"]
    assert json.loads(result)["connects"] > 0
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_child_that_fails_says_why_in_one_line(nobody):
    ended = run("connect", ConnectLoad(port=nobody))
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert "no MQTT server" in line


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"steady"}))
def test_every_kind_finds_its_driver_and_needs_a_server(kind, nobody):
    from firmware_sim.failures import ServerAbsent

    with pytest.raises(ServerAbsent):
        prepare(kind, KINDS[kind].load(port=nobody))
