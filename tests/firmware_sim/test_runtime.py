from __future__ import annotations

import asyncio
import os
import resource
import signal

import pytest

from firmware_sim.connecting import wait_until
from firmware_sim.failures import SimulationFailed
from firmware_sim.runtime import SPARE_FILES, allow_connections, run_to_end, stop_on_signal


def test_a_coroutine_is_run_to_its_end():
    async def answer():
        return 42

    assert run_to_end(answer()) == 42


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_politely(number):
    stops = []

    async def main():
        async with stop_on_signal(lambda: stops.append(number)):
            os.kill(os.getpid(), number)
            assert await wait_until(lambda: bool(stops), 5)

    run_to_end(main())
    assert stops == [number]


def test_the_second_ctrl_c_interrupts():
    async def main():
        async with stop_on_signal(lambda: os.kill(os.getpid(), signal.SIGINT)):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run_to_end(main())


def test_the_limit_of_open_files_is_raised_as_far_as_it_may(monkeypatch):
    limits = {"now": (100, 1_000)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.update(now=new))
    allow_connections(10)
    assert limits["now"] == (100, 1_000)
    allow_connections(500)
    assert limits["now"] == (500 + SPARE_FILES, 1_000)
    with pytest.raises(SimulationFailed, match="5000 devices need 5064 open files"):
        allow_connections(5_000)
