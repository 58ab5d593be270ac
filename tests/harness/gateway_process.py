"""The gateway as its users run it: a process of its own, killed at will."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.harness.waiting import wait_for

REPOSITORY = Path(__file__).parents[2]
START_S_MAX = 20.0
STOP_S_MAX = 15.0
OUTPUT_CHARS_SHOWN = 2000
CONNECT = bytes.fromhex("10 11 0004 4d515454 04 02 0000 0005 70726f6265")
CONNACK = bytes.fromhex("20 02 00 00")
DISCONNECT = bytes.fromhex("e0 00")


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def penstock(*arguments: str | Path) -> list[str]:
    """The command line of `penstock` with these arguments, run by this interpreter."""
    return [sys.executable, "-m", "gateway.cli", *map(str, arguments)]


def environment_of(additions: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment and the additions; the sources are found from any working directory."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **(additions or {})}


class GatewayEnded(RuntimeError):
    """The gateway ended while a test needed it; carries its exit code and what it printed."""

    def __init__(self, exit_code: int, output: str) -> None:
        super().__init__(f"exit {exit_code}: {output[-OUTPUT_CHARS_SHOWN:]}")
        self.exit_code = exit_code


class GatewayProcess:
    """One data directory and port, and the process that serves them, life after life.

    It runs in the parent of `data`, where no config/ or rules/ of the repository are found.
    """

    def __init__(
        self,
        data: Path,
        *,
        rules: Path | None = None,
        config: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        self.port = free_port()
        self._output_path = data.with_name(f"{data.name}.output")
        self._environment = environment_of(environment)
        self._rules = rules
        self._config = config
        self._child: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """How it is started."""
        place = ["--data", self.data, "--host", "127.0.0.1", "--port", str(self.port)]
        if self._rules is not None:
            place += ["--rules", self._rules]
        if self._config is not None:
            place += ["--config", self._config]
        return penstock("serve", *place)

    def __enter__(self) -> GatewayProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None and self._child.poll() is None:
            self.kill()

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def output(self) -> str:
        """Everything that it printed, over all its lives."""
        return self._output_path.read_text(errors="replace") if self._output_path.exists() else ""

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def spawn(self) -> None:
        """Start the process and don't wait for it."""
        with self._output_path.open("ab") as output:
            self._child = subprocess.Popen(
                self.command(),
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=self.data.parent,
            )

    def start(self) -> None:
        """Start the process and wait until it answers a CONNECT.

        Raises:
            GatewayEnded: it ended instead.
            TimeoutError: it did neither in time.
        """
        self.spawn()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """The second half of `start`, with its errors."""
        wait_for(self._accepts, "the gateway to answer a CONNECT", seconds=START_S_MAX)

    def _accepts(self) -> bool:
        assert self._child is not None
        if self._child.poll() is not None:
            raise GatewayEnded(self._child.returncode, self.output)
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2.0) as probe:
            probe.sendall(CONNECT)
            if probe.recv(4, socket.MSG_WAITALL) == CONNACK:
                probe.sendall(DISCONNECT)
                return True
        return False

    def kill(self) -> None:
        """End it as a crash does: SIGKILL."""
        assert self._child is not None
        self._child.send_signal(signal.SIGKILL)
        self._child.wait(STOP_S_MAX)

    def terminate(self) -> int:
        """Ask it to stop, and return its exit code."""
        assert self._child is not None
        self._child.terminate()
        return self.wait()

    def wait(self, seconds: float = STOP_S_MAX) -> int:
        """Wait until it has ended by itself, and return its exit code."""
        assert self._child is not None
        return self._child.wait(seconds)


def run_penstock(
    *arguments: str | Path, environment: Mapping[str, str] | None = None, seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run one command of `penstock` to its end; nothing is raised when it fails."""
    return subprocess.run(
        penstock(*arguments),
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment_of(environment),
        check=False,
    )
