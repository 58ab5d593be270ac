"""A reader that stays: `penstock streams read … --follow`, beside a gateway that comes and goes."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

from tests.harness.gateway_process import environment_of, penstock
from tests.harness.log_reader import LoggedEvent, parse_line

STOP_S_MAX = 10.0


class LogFollower:
    """Collects every event of a stream from its first one on, as they become readable."""

    def __init__(self, data: Path, stream: str) -> None:
        self._events: list[LoggedEvent] = []
        self._child = subprocess.Popen(
            penstock("streams", "read", stream, "--data", data, "--json", "--follow"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment_of(),
        )
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    def __enter__(self) -> LogFollower:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait(STOP_S_MAX)
        self._thread.join(STOP_S_MAX)
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._child.stdout.close()
        self._child.stderr.close()

    def _collect(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._events.append(parse_line(line))

    @property
    def events(self) -> list[LoggedEvent]:
        """What it has read so far.

        Raises:
            AssertionError: the reader has ended.
        """
        if self._child.poll() is not None:
            assert self._child.stderr is not None
            raise AssertionError(f"the reader ended: {self._child.stderr.read()}")
        return list(self._events)
