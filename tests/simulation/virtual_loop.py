"""An event loop whose time is a number: nothing waits, and one seed is one order of events."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
START_MS = 1_790_000_000_000


class NothingHappens(Exception):
    """Everybody waits for everybody else: a deadlock of the system under test."""


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
    """A loop without threads, sockets and clock.

    Its turn is that of asyncio, without what only real time needs: thousands of seeds are lived
    through for each defect that is found. Timers of one moment go off in the order they were set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.factories: dict[int, Callable[[], asyncio.Protocol]] = {}
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_set = 0

    def time(self) -> float:
        return self.now_s

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_set += 1
        heapq.heappush(self._timers, (when, self._timers_set, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer leaves when its time comes."""

    def _run_once(self) -> None:
        """Do what is ready; when nothing is, it is the time of the next timer."""
        ready, timers = self._ready, self._timers
        if not ready and not self._stopping:
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if not timers:
                raise NothingHappens("no timer is set, and nobody is ready")
            self.now_s = max(self.now_s, timers[0][0])
        while timers and timers[0][0] <= self.now_s:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

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
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
