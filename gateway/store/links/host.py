"""The writer's end of a worker's link: its commits join the group commit under way.

Theory of operation. One host serves one connection. What the worker sends is taken in order: a
commit is checked against its member's generation and queued in one step, so nothing comes between,
and a worker that was superseded is refused. When the connection ends, `serve` returns only after
everything that came over it is durable or refused: whoever comes next finds a log that its
predecessor can't change any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any

from gateway.errors import StoreError
from gateway.events import Run
from gateway.store.groups.calls import error_name, frame, offsets_of, read_frame
from gateway.store.links.columns import puts_of_rows, runs_of_rows
from gateway.store.links.link import TOLD
from gateway.store.protocol import Member, Put, StreamSpec, StreamStore

WAIT_S_MAX = 10.0
"""How long a worker waits at most before it looks for itself."""

BAD_CALL = (TypeError, ValueError, KeyError, AttributeError)
PutsOf = Callable[[Sequence[Run]], Sequence[Put]]


class StoreHost:
    """Serves the log to one worker.

    `puts_of` tells which tables must change with records that the worker commits; `told` hears what
    the worker tells, by name.
    """

    def __init__(
        self,
        store: StreamStore,
        writer: asyncio.StreamWriter,
        puts_of: PutsOf,
        told: Mapping[str, Callable[..., None]],
    ) -> None:
        self._store = store
        self._writer = writer
        self._puts_of = puts_of
        self._told = {"stage": self._stage, **told}
        self._numbers = count()
        self._members: dict[int, Member] = {}
        self._staged: dict[int, list[Put]] = {}
        self._waiting: set[asyncio.Task[None]] = set()
        self._writing: set[asyncio.Task[None]] = set()
        self._calls: dict[str, Callable[..., Awaitable[Any]]] = {
            "append": self._append,
            "commit": self._commit,
            "ensure": self._ensure,
            "join": self._join,
            "leave": self._leave,
            "wait": self._wait,
        }

    def tell(self, name: str, *arguments: Any) -> None:
        """Say something to the worker, if it is there."""
        if not self._writer.is_closing():
            self._writer.write(frame([TOLD, name, arguments]))

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer until the worker is gone, and nothing of it is under way."""
        try:
            # The worker being gone, or talking nonsense, ends it.
            with contextlib.suppress(asyncio.IncompleteReadError, OSError, *BAD_CALL):
                while True:
                    self._take(*await read_frame(reader))
        finally:
            self._writer.close()
            await self._settle()

    def _take(self, number: int, name: str, arguments: list[Any]) -> None:
        if number == TOLD:
            self._told[name](*arguments)
            return
        tasks = self._waiting if name == "wait" else self._writing
        task = asyncio.create_task(self._answer(number, name, arguments), name=f"worker {name}")
        tasks.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            # It stays among the tasks, so that `serve` raises it.
            self._writer.transport.abort()
            return
        self._waiting.discard(task)
        self._writing.discard(task)

    async def _settle(self) -> None:
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        for member in self._members.values():
            await member.close()
        # Not cancelled: what is queued is written, whether or not anybody waits for it.
        await asyncio.gather(*self._writing)

    async def _answer(self, number: int, name: str, arguments: list[Any]) -> None:
        try:
            answer = [number, None, await self._calls[name](*arguments)]
        except StoreError as error:
            answer = [number, error_name(error), str(error)]
        except BAD_CALL as error:
            answer = [number, "StoreError", f"{name!r} was called with what it can't use: {error}"]
        if not self._writer.is_closing():
            self._writer.write(frame(answer))

    async def _append(self, runs: list[Any], puts: list[Any]) -> Any:
        return await self._store.append(runs_of_rows(runs), puts_of_rows(puts))

    async def _ensure(self, fields: list[Any]) -> None:
        await self._store.ensure(StreamSpec(*fields))

    async def _join(self, group: str, streams: list[str]) -> int:
        number = next(self._numbers)
        self._members[number] = self._store.join(group, streams)
        return number

    async def _leave(self, number: int) -> None:
        self._staged.pop(number, None)
        await self._members.pop(number).close()

    def _stage(self, number: int, puts: list[Any]) -> None:
        """Take a part of what the member's next commit changes in tables."""
        if number in self._members:
            self._staged.setdefault(number, []).extend(puts_of_rows(puts))

    async def _commit(self, number: int, runs: list[Any], puts: list[Any], rows: list[Any]) -> Any:
        outputs = runs_of_rows(runs)
        state = [*self._staged.pop(number, ()), *puts_of_rows(puts), *self._puts_of(outputs)]
        offsets = offsets_of([(*row,) for row in rows])
        return await self._members[number].commit(outputs=outputs, state=state, offsets=offsets)

    async def _wait(self, after_commit_no: int) -> int:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S_MAX):
                await self._store.wait(after_commit_no)
        return self._store.known_commit_no


def tell(writer: asyncio.StreamWriter, name: str, *arguments: Any) -> None:
    """Say something to a worker that nobody serves yet."""
    writer.write(frame([TOLD, name, arguments]))


async def read_told(reader: asyncio.StreamReader) -> tuple[str, list[Any]]:
    """Hear what a worker tells before anybody serves it: the name and the arguments.

    Raises:
        asyncio.IncompleteReadError: the worker is gone.
        ValueError: it says something else.
    """
    number, name, arguments = await read_frame(reader)
    if number != TOLD:
        raise ValueError(f"a worker calls {name!r} before its log is open")
    return name, arguments
