"""The servers under measurement, each on a free port of the loopback interface."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.load import CONNACK_ACCEPTED, connect_packet

REPOSITORY = Path(__file__).resolve().parent.parent
START_S_MAX = 20.0
STOP_S_MAX = 20.0
RETRY_S = 0.002
MOSQUITTO_PLACES = ("mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto")


class ServerFailed(RuntimeError):
    """A server ended, or accepted nobody in time; carries what it printed."""


@dataclass(slots=True)
class Running:
    """A server that accepts: where, which process, and how long from spawn to first CONNACK."""

    port: int
    pid: int
    start_s: float


class Server(ABC):
    """One kind of server."""

    name: str
    keeps_events = False

    checkout = REPOSITORY

    @property
    def is_installed(self) -> bool:
        return True

    @abstractmethod
    def command(self, directory: Path, port: int) -> list[str]:
        """Write what it needs into `directory`, and return how it is started."""


class Penstock(Server):
    """The gateway with its defaults: every PUBACK after its fsync."""

    name = "penstock"
    keeps_events = True

    def __init__(self, checkout: Path = REPOSITORY, linger: str | None = None) -> None:
        """Start the gateway of `checkout`, with its defaults but for `store.linger`."""
        self.checkout = checkout.resolve()
        self.linger = linger
        if self.checkout != REPOSITORY:
            self.name = f"penstock at {checkout.name}"

    def command(self, directory: Path, port: int) -> list[str]:
        place = ["--data", str(directory / "log"), "--host", "127.0.0.1", "--port", str(port)]
        if self.linger is not None:
            configuration = directory / "linger.yaml"
            configuration.write_text(f"store: {{linger: {self.linger}}}\n")
            place += ["--config", str(configuration)]
        return [sys.executable, "-m", "gateway.cli", "serve", *place]


class Amqtt(Server):
    """The Python broker amqtt, anonymous, keeping nothing."""

    name = "amqtt"
    script = Path(sys.executable).with_name("amqtt")

    @property
    def is_installed(self) -> bool:
        return self.script.exists()

    def command(self, directory: Path, port: int) -> list[str]:
        configuration = directory / "amqtt.yaml"
        configuration.write_text(
            f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\n"
            "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n"
            "    allow_anonymous: true\n"
        )
        return [str(self.script), "-c", str(configuration)]


class Mosquitto(Server):
    """Mosquitto, anonymous, without persistence and without limits: it acknowledges and forgets."""

    name = "mosquitto"

    @property
    def executable(self) -> str | None:
        return next(filter(None, map(shutil.which, MOSQUITTO_PLACES)), None)

    @property
    def is_installed(self) -> bool:
        return self.executable is not None

    def command(self, directory: Path, port: int) -> list[str]:
        configuration = directory / "mosquitto.conf"
        configuration.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            "max_inflight_messages 0\nmax_queued_messages 0\nlog_dest none\n"
        )
        # It gives up the rights of root before it reads its file.
        directory.chmod(0o755)
        configuration.chmod(0o644)
        return [str(self.executable), "-c", str(configuration)]


class Sink(Server):
    """Acknowledges by dividing bytes: what the load generator itself can reach."""

    name = "generator's ceiling"

    def command(self, directory: Path, port: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.ingest.sink", str(port)]


def allow_many_files() -> None:
    """Let this process, and what it starts, open as many files as the user may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(server: Server, on_disk: Path) -> Iterator[Running]:
    """Start `server` in a directory of its own under `on_disk`; stop it and remove both at the end.

    Raises:
        ServerFailed: it ended, or it accepted nobody in time.
    """
    with tempfile.TemporaryDirectory(prefix=f"{server.name[:9]}-", dir=on_disk) as directory:
        port = free_port()
        output_path = Path(directory) / "output"
        command = server.command(Path(directory), port)
        started_s = time.perf_counter()
        with output_path.open("wb") as output:
            # In the empty directory no config/ or rules/ of the repository are found.
            child = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                cwd=directory,
                preexec_fn=allow_many_files,
                env={**os.environ, "PYTHONPATH": str(server.checkout)},
            )
        try:
            wait_until_accepting(child, port, output_path)
            yield Running(port, child.pid, time.perf_counter() - started_s)
        finally:
            stop(child)


def wait_until_accepting(child: subprocess.Popen[bytes], port: int, output: Path) -> None:
    """Try to connect until a CONNECT is answered.

    Raises:
        ServerFailed: the process ended, or the time is over.
    """
    until_s = time.perf_counter() + START_S_MAX
    while time.perf_counter() < until_s:
        if child.poll() is not None:
            raise ServerFailed(f"{child.args!r} ended with {child.returncode}: {tail(output)}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0) as probe:
            probe.sendall(connect_packet("probe"))
            if probe.recv(4, socket.MSG_WAITALL) == CONNACK_ACCEPTED:
                probe.sendall(b"\xe0\x00")
                return
        time.sleep(RETRY_S)
    raise ServerFailed(f"{child.args!r} accepted nobody within {START_S_MAX:.0f} s: {tail(output)}")


def tail(output: Path) -> str:
    """The last lines that a server printed."""
    return "\n".join(output.read_text(errors="replace").splitlines()[-10:]) or "it printed nothing"


def stop(child: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, then insist."""
    child.terminate()
    try:
        child.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
