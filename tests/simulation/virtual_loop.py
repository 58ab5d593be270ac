"""An event loop whose time is a number: nothing waits, and one seed is one order of events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
START_MS = 1_790_000_000_000


class NothingHappens(Exception):
    """Everybody waits for everybody else: a deadlock of the system under test."""


class _Selector:
    """Instead of waiting for sockets, time moves on to the next timer."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise NothingHappens("no timer is set, and nobody is ready")
        self._loop.now_s += timeout
        return []


class VirtualServer:
    """What `create_server` returns."""

    def __init__(self, loop: VirtualLoop, port: int) -> None:
        self._loop = loop
        self._port = port
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", self._port)

    def close(self) -> None:
        self._loop.factories.pop(self._port, None)

    async def wait_closed(self) -> None:
        pass


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop without threads, sockets and clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.factories: dict[int, Callable[[], asyncio.Protocol]] = {}
        self._selector = _Selector(self)

    def time(self) -> float:
        return self.now_s

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    async def pass_time(self, seconds: float) -> None:
        """Return when so much virtual time has passed."""
        passed: asyncio.Future[None] = self.create_future()
        self.call_later(seconds, passed.set_result, None)
        await passed

    async def create_server(self, factory: Any, _host: Any, port: Any, **_: Any) -> Any:
        self.factories[port] = factory
        return VirtualServer(self, port)


class VirtualClock:
    """The loop's time as the gateway sees it; the wall clock can be set, the monotonic one not."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._offset_ms = START_MS

    def now_ms(self) -> int:
        return self._offset_ms + self.monotonic_ms()

    def monotonic_ms(self) -> int:
        return int(self._loop.now_s * 1_000)

    def is_right(self) -> bool:
        return True

    def step(self, ms: int) -> None:
        """Set the wall clock forward or back."""
        self._offset_ms += ms


def run_virtually(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on a loop of its own, as fast as the machine can."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main(loop))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.pass_time(0))
        asyncio.set_event_loop(None)
        loop.close()
