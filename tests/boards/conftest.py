"""Boards as processes: the firmware of devices/firmware on this machine, and a gateway for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.gateway_process import GatewayProcess

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "devices" / "firmware"
NAME, TOPIC = "board-1", "plant/board-1/climate"
INTERVAL_MS = 50
MAIN = """
import sys
sys.path.insert(0, {folder!r})
import penstock_device
from penstock_device import Device

penstock_device.BACK_OFF_MS = (100, 500)
count = [0]

def sensors():
    count[0] += 1
    return {{"n": count[0] - 1}}

device = Device(
    ({host!r}, {port}), {name!r}, {topic!r}, sensors,
    commands={{"count": lambda payload: count[0], "fail": lambda payload: 1 // 0}},
)
device.interval_ms = {interval_ms}
device.run()
"""


class Board:
    """One board; its working directory is its flash."""

    def __init__(self, kind, flash, executable):
        self.kind = kind
        self.flash = flash
        self._executable = executable
        self._process = None

    def power_on(self, port):
        if self.kind == "arduino":
            command = [self._executable, "127.0.0.1", str(port), NAME, TOPIC, str(INTERVAL_MS)]
        else:
            main = self.flash / "main.py"
            folder = str(FIRMWARE / "micropython")
            main.write_text(
                MAIN.format(
                    folder=folder, host="127.0.0.1", port=port, name=NAME, topic=TOPIC,
                    interval_ms=INTERVAL_MS,
                )
            )  # fmt: skip
            command = [self._executable, "main.py"]
        self._process = subprocess.Popen(command, cwd=self.flash)

    def lose_power(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def arduino_program(tmp_path_factory):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ here")
    program = tmp_path_factory.mktemp("arduino") / "board"
    subprocess.run(
        [
            compiler, "-Wall", "-Wextra", "-Werror", "-O1",
            "-I", str(HERE / "arduino"), "-I", str(FIRMWARE / "arduino"),
            str(HERE / "arduino" / "board.cpp"), "-o", str(program),
        ],
        check=True,
    )  # fmt: skip
    return str(program)


@pytest.fixture(params=["cpython", "micropython", "arduino"])
def board(request, tmp_path):
    """A board of each kind, off; it is off again at the end."""
    if request.param == "arduino":
        executable = request.getfixturevalue("arduino_program")
    elif request.param == "cpython":
        executable = sys.executable
    else:
        executable = shutil.which("micropython")
        if executable is None:
            pytest.skip("no micropython here")
    flash = tmp_path / "flash"
    flash.mkdir()
    made = Board(request.param, flash, executable)
    yield made
    made.lose_power()


@pytest.fixture
def gateway(tmp_path):
    with GatewayProcess(tmp_path / "log") as process:
        yield process
