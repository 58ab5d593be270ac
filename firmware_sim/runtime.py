"""Runs a coroutine as a command does: on uvloop where it is, stopping politely on a signal."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from firmware_sim.failures import SimulationFailed

T = TypeVar("T")
# Besides its connections a run needs a few files: the loop's own, children and their pipes.
SPARE_FILES = 64
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_to_end(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own and return what it returns."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


@contextlib.asynccontextmanager
async def stop_on_signal(stop: Callable[[], None]) -> AsyncIterator[None]:
    """Call `stop` on the first Ctrl-C or SIGTERM; the second one interrupts as usual."""
    loop = asyncio.get_running_loop()

    def stop_once() -> None:
        _release(loop)
        stop()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop_once)
    try:
        yield
    finally:
        _release(loop)


def _release(loop: asyncio.AbstractEventLoop) -> None:
    for number in STOP_SIGNALS:
        loop.remove_signal_handler(number)


def allow_connections(count: int) -> None:
    """Raise this process's limit of open files, so that it can hold `count` connections.

    Raises:
        SimulationFailed: the machine does not let this user have so many.
    """
    needed = count + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise SimulationFailed(
                f"{count} devices need {needed} open files, and this user may have {hard}; "
                f"run fewer devices, or raise the limit with 'ulimit -Hn {needed}'"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
