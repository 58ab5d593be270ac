"""The load `hold`: clients that are connected and silent, for what they cost a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from firmware_sim.failures import LoadFailed
from firmware_sim.load.crowd import Crowd, Guest
from firmware_sim.load.options import HoldLoad, HoldMeasured
from firmware_sim.load.protocol import Watcher
from firmware_sim.load.sockets import open_client
from firmware_sim.runtime import allow_connections

AT_ONCE = 200
GIVE_UP_S = 120.0


def gather(
    crowd: Crowd, guests: Sequence[Guest], note: Callable[[int], None], at_once: int = AT_ONCE
) -> None:
    """Let guests in, `at_once` of them at a time; `note` hears how many are in.

    Raises:
        LoadFailed: they are not all in within GIVE_UP_S.
        ServerRefused: one was answered with a refusal.
    """
    until_s = time.perf_counter() + GIVE_UP_S
    sent = 0
    while sent < len(guests) or crowd.underway:
        more = guests[sent : sent + max(0, at_once - crowd.underway)]
        crowd.send(more)
        sent += len(more)
        crowd.turn()
        note(sent - crowd.underway)
        if time.perf_counter() > until_s:
            missing = len(guests) - sent + crowd.underway
            raise LoadFailed(f"{missing} clients were not let in within {GIVE_UP_S:.0f} s")


class Hold:
    """All the silent clients."""

    def __init__(self, load: HoldLoad) -> None:
        self.load = load
        allow_connections(load.clients)
        open_client(load, "bench-first").close()
        self._crowd = Crowd(load, lambda _: None)
        self._guests = [
            Guest(load, number, subscribes=load.subscribes) for number in range(load.clients)
        ]

    def measure(self, watcher: Watcher) -> HoldMeasured:
        """Let everybody in, and wait until the server has settled.

        Raises:
            LoadFailed: it did not take them all.
        """
        watcher.measuring()
        started_s = time.perf_counter()
        gather(self._crowd, self._guests, lambda count: watcher.show({"clients": count}))
        seconds = time.perf_counter() - started_s
        time.sleep(self.load.settle_s)
        watcher.measured()
        return HoldMeasured(sum(guest.is_in for guest in self._guests), seconds)

    def close(self) -> None:
        self._crowd.close()
        for guest in self._guests:
            guest.leave()
