"""The load `storm`: thousands of clients come back at once, while steady ones publish on.

The steady ones live in a process of their own: what they wait for is the server, not this loop.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict

from firmware_sim.failures import LoadFailed
from firmware_sim.load.crowd import Crowd, Guest
from firmware_sim.load.hold import gather
from firmware_sim.load.options import StormLoad, StormMeasured, quantile
from firmware_sim.load.protocol import MEASURING, READY, Watcher
from firmware_sim.load.sockets import open_client
from firmware_sim.runtime import allow_connections

SHOW_EVERY_S = 0.5


class Storm:
    """The clients that will lose their connections, and the process of those that will not."""

    def __init__(self, load: StormLoad) -> None:
        self.load = load
        allow_connections(load.clients)
        open_client(load, "bench-first").close()
        self._crowd = Crowd(load, self._note)
        self._guests = [Guest(load, number, subscribes=True) for number in range(load.clients)]
        self._back_at_s: list[float] = []

    def _note(self, _: Guest) -> None:
        self._back_at_s.append(time.monotonic())

    def measure(self, watcher: Watcher) -> StormMeasured:
        """Let everybody in, cut everybody off, and time how long it takes until all are back.

        Raises:
            LoadFailed: they are not all back in time, or a steady client lost its connection.
        """
        gather(self._crowd, self._guests, lambda count: watcher.show({"connected": count}))
        steady = self._start_steady()
        try:
            time.sleep(self.load.quiet_s)
            watcher.measuring()
            began_s = time.monotonic()
            retries = self._crowd.retries
            self._back_at_s.clear()
            for guest in self._guests:
                guest.leave()
            self._return(watcher)
            ended_s = time.monotonic()
            time.sleep(0.5)
            output, errors = steady.communicate("stop\n", timeout=60.0)
        finally:
            steady.kill()
        watcher.measured()
        if not output.strip():
            raise LoadFailed(errors.strip() or "the steady clients ended without a word")
        measured = StormMeasured(len(self._guests), retries=self._crowd.retries - retries)
        measured.all_back_s = self._back_at_s[-1] - began_s
        measured.half_back_s = self._back_at_s[len(self._back_at_s) // 2] - began_s
        _judge(measured, json.loads(output.splitlines()[-1]), (began_s, ended_s))
        return measured

    def _return(self, watcher: Watcher) -> None:
        self._crowd.send(self._guests)
        until_s = time.monotonic() + self.load.give_up_s
        show_at_s = time.monotonic()
        while self._crowd.underway:
            self._crowd.turn()
            now_s = time.monotonic()
            if now_s > until_s:
                missing = self._crowd.underway
                raise LoadFailed(f"{missing} clients are not back after {self.load.give_up_s:g} s")
            if now_s > show_at_s:
                show_at_s += SHOW_EVERY_S
                watcher.show({"back": len(self._back_at_s), "of": len(self._guests)})

    def _start_steady(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "firmware_sim.load.child", "steady"]
        child = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None  # noqa: S101 - asked for above
        assert child.stdout is not None  # noqa: S101 - asked for above
        for line, word in ((json.dumps(asdict(self.load)), READY), ("go", MEASURING)):
            child.stdin.write(f"{line}\n")
            child.stdin.flush()
            if child.stdout.readline().strip() != word:
                raise LoadFailed(child.communicate()[1].strip() or "no steady clients")
        return child

    def close(self) -> None:
        self._crowd.close()
        for guest in self._guests:
            guest.leave()


def _judge(
    measured: StormMeasured, steady: dict[str, list[float]], span: tuple[float, float]
) -> None:
    """Sort the acks of the steady clients into those of the storm and those before it."""
    began_s, ended_s = span
    quiet, during = [], []
    for sent_s, latency_us in zip(steady["sent_at_s"], steady["latencies_us"], strict=True):
        if began_s <= sent_s <= ended_s:
            during.append(latency_us)
        elif sent_s + latency_us / 1e6 < began_s:
            quiet.append(latency_us)
    during.sort()
    quiet.sort()
    measured.steady_acks = len(during)
    measured.ack_us_p50 = quantile(during, 0.5)
    measured.ack_us_p99 = quantile(during, 0.99)
    measured.ack_us_max = quantile(during, 1.0)
    measured.quiet_ack_us_p99 = quantile(quiet, 0.99)
