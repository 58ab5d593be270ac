"""The load `connect`: clients that come, are accepted and go, as fast as the server lets them."""

from __future__ import annotations

import time

from firmware_sim.load.crowd import Crowd, Guest
from firmware_sim.load.options import ConnectLoad, ConnectMeasured, quantile
from firmware_sim.load.packets import DISCONNECT
from firmware_sim.load.protocol import Watcher
from firmware_sim.load.sockets import open_client

SHOW_EVERY_S = 1.0


class Connects:
    """Keeps `at_once` clients on their way in."""

    def __init__(self, load: ConnectLoad) -> None:
        self.load = load
        # One client that is let in first says clearly what is wrong, if anything is.
        open_client(load, "bench-first").close()
        self._crowd = Crowd(load, self._go)
        self._guests = [Guest(load, number, subscribes=False) for number in range(load.at_once)]
        self._again: list[Guest] = []
        self._latencies_ns: list[int] = []

    def _go(self, guest: Guest) -> None:
        self._latencies_ns.append(time.perf_counter_ns() - guest.started_ns)
        if guest.socket is not None:
            guest.socket.send(DISCONNECT)
            guest.socket.close()
            guest.socket = None
        self._again.append(guest)

    def measure(self, watcher: Watcher) -> ConnectMeasured:
        """Warm up, then count.

        Raises:
            ServerRefused: a client was answered with a refusal.
        """
        self._crowd.send(self._guests)
        self._drive(self.load.warm_up_s)
        self._latencies_ns.clear()
        retries = self._crowd.retries
        watcher.measuring()
        started_s, cpu_s = time.perf_counter(), time.process_time()
        until_s = started_s + self.load.measured_s
        while (left_s := until_s - time.perf_counter()) > 0:
            before = len(self._latencies_ns)
            self._drive(min(SHOW_EVERY_S, left_s))
            count = len(self._latencies_ns)
            watcher.show({"connects": count, "connects_per_s": count - before})
        ordered = [ns / 1000 for ns in sorted(self._latencies_ns)]
        measured = ConnectMeasured(
            connects=len(ordered),
            failures=self._crowd.retries - retries,
            seconds=time.perf_counter() - started_s,
            generator_cpu_s=time.process_time() - cpu_s,
            latency_us_p50=quantile(ordered, 0.5),
            latency_us_p99=quantile(ordered, 0.99),
            latency_us_max=quantile(ordered, 1.0),
        )
        watcher.measured()
        return measured

    def _drive(self, seconds: float) -> None:
        until_s = time.perf_counter() + seconds
        while time.perf_counter() < until_s:
            self._crowd.turn()
            again, self._again = self._again, []
            self._crowd.send(again)

    def close(self) -> None:
        self._crowd.close()
