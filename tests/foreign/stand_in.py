"""Run one of Mosquitto's tests with Penstock in its place: `stand_in.py TEST PORT...`.

Run in the folder of the test. Exit code 0: passed; 77: it sets what only Mosquitto has.
"""

from __future__ import annotations

import os
import runpy
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from tests.foreign.answers import is_expected, is_one_packet
from tests.foreign.settings import NotOurs, settings_of
from tests.harness.gateway_process import environment_of, penstock
from tests.harness.waiting import wait_for

NOT_OURS = 77
START_S_MAX = 60.0


class StandIn:
    """Starts gateways where the test starts brokers, on the data that its last broker left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def start_broker(
        self,
        filename: str,
        cmd: list[str] | None = None,
        port: int = 0,
        use_conf: bool = False,
        expect_fail: bool = False,
        **_: Any,
    ) -> subprocess.Popen[bytes] | None:
        """What Mosquitto's harness calls to start the program under test."""
        port = port or 1888
        conf = filename.replace(".py", ".conf") if use_conf else None
        if cmd is not None and "-c" in cmd:
            conf = cmd[cmd.index("-c") + 1]
        try:
            ports, limits, kept = ([], {}, None) if conf is None else settings_of(Path(conf))
        except NotOurs as error:
            print("needs", error)
            sys.stdout.flush()
            os._exit(NOT_OURS)
        self._begin_anew_unless(kept)
        config = self._write_config(ports or [port], limits)
        wait_for(lambda: not is_open(port), "the port to be free", seconds=START_S_MAX)
        broker = subprocess.Popen(
            penstock("serve", "--config", config),
            cwd=self._folder,
            env=environment_of(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._started.append(broker)
        wait_for(
            lambda: broker.poll() is not None or is_open(port), "a gateway", seconds=START_S_MAX
        )
        return None if expect_fail and broker.poll() is not None else broker

    def _begin_anew_unless(self, kept: str | None) -> None:
        """Forget the data, unless this server keeps its state and the test has left it in place."""
        if kept is None or not Path(kept).exists():
            shutil.rmtree(self._folder / "data", ignore_errors=True)
        if kept is not None:
            Path(kept).touch()

    def _write_config(self, ports: list[int], limits: dict[str, str]) -> Path:
        lines = ["version: 1", f"data: {self._folder}/data", "sys_interval: 0s", "listen:"]
        lines += [f"  - {{host: 127.0.0.1, port: {port}}}" for port in ports]
        if limits:
            lines += ["limits:", *(f"  {name}: {value}" for name, value in limits.items())]
        config = self._folder / "gateway.yaml"
        config.write_text("\n".join(lines) + "\n")
        return config

    def stop(self) -> None:
        """Stop what the test has left running."""
        for broker in self._started:
            if broker.poll() is None:
                broker.kill()
            broker.wait()


def is_open(port: int) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection(("localhost", port)).close()
    except OSError:
        return False
    return True


def read_packet(stream: socket.socket) -> bytes:
    """One whole packet; less when the stream ends in it."""
    packet = stream.recv(1)
    length = shift = 0
    while packet:
        byte = stream.recv(1)
        packet += byte
        if not byte:
            return packet
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            break
    while packet and length:
        piece = stream.recv(length)
        if not piece:
            break
        packet += piece
        length -= len(piece)
    return packet


def main(test: str, ports: list[str]) -> None:
    """Run the test; what it decides is the exit code."""
    folder = Path.cwd()
    sys.path[:0] = [str(folder), str(folder.parent)]
    sys.argv = [test, *ports]
    sys.modules["__main__"].__file__ = test
    warnings.simplefilter("ignore")
    import mosq_test  # theirs: found now that its folder is on the path

    plain = mosq_test.expect_packet

    def expect_packet(stream: socket.socket, name: str, expected: bytes) -> bool:
        if not is_one_packet(expected):
            return bool(plain(stream, name, expected))
        heard = read_packet(stream)
        if is_expected(heard, expected):
            return True
        print(f"{name}: heard {heard.hex(' ')}, expected {expected.hex(' ')}")
        raise mosq_test.TestError

    with tempfile.TemporaryDirectory(prefix="penstock-foreign-") as data:
        stand_in = StandIn(Path(data))
        mosq_test.start_broker, mosq_test.expect_packet = stand_in.start_broker, expect_packet
        try:
            runpy.run_path(test, run_name="__main__")
        finally:
            stand_in.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
