"""A worker's end of its link to the process that writes the log.

A frame is as in `gateway.store.groups.calls`. A call is ``[number, name, arguments]`` and its
answer ``[number, error name or None, result]``. What is only told, either way, has the number
`TOLD` and no answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from itertools import count
from typing import Any

from gateway.errors import StoreError, StoreUnavailable
from gateway.store.groups.calls import ERRORS, frame, read_frame

TOLD = -1
GONE = "the gateway is gone"


class Link:
    """Calls to the writer of the log, and what it tells; StoreUnavailable once it is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = count()
        self._answers: dict[int, asyncio.Future[tuple[str | None, Any]]] = {}
        self.told: dict[str, Callable[..., None]] = {}
        """Who hears what the writer tells, by name."""
        self.ended = asyncio.create_task(self._listen(), name="link")
        """Done when the writer is gone."""

    async def call(self, name: str, *arguments: Any) -> Any:
        """Have the writer do something; returns its answer.

        Raises:
            StoreUnavailable: the writer is gone, or its disk refuses.
            StoreError: what the writer says.
        """
        if self.ended.done():
            raise StoreUnavailable(GONE)
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(frame([number, name, arguments]))
            error, result = await answer
        finally:
            del self._answers[number]
        if error is not None:
            raise ERRORS.get(error, StoreError)(result)
        return result

    def tell(self, name: str, *arguments: Any) -> None:
        """Say something that needs no answer; nothing happens when nobody is there to hear it."""
        if not self.ended.done():
            self._writer.write(frame([TOLD, name, arguments]))

    async def drain(self) -> None:
        """Wait until the writer has taken most of what was sent.

        Raises:
            StoreUnavailable: it is gone.
        """
        try:
            await self._writer.drain()
        except OSError as error:
            raise StoreUnavailable(GONE) from error

    async def close(self) -> None:
        """End the link; what was sent before is still heard."""
        self.ended.cancel()
        await asyncio.gather(self.ended, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _listen(self) -> None:
        try:
            # The writer being gone ends this.
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                while True:
                    number, *content = await read_frame(self._reader)
                    if number == TOLD:
                        name, arguments = content
                        self.told[name](*arguments)
                    elif number in self._answers and not self._answers[number].done():
                        self._answers[number].set_result((content[0], content[1]))
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(StoreUnavailable(GONE))
