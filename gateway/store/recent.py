"""The batches of recent commits, kept decoded in bounded memory for every reader that keeps up.

Readers that fall behind go to the engine's history; `gateway.store.cursors` knows which is when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from gateway.events import RecordBatch, Run

RECORD_BYTES = 64


def memory_bytes(runs: Sequence[Run]) -> int:
    """About how much memory runs hold: their payloads, and a fixed share for each record."""
    return sum(sum(map(len, run.payloads)) + RECORD_BYTES * len(run.payloads) for run in runs)


class Recent:
    """A window over the newest commits, `first_commit_no` … `last_commit_no`, oldest dropped first.

    Commits enter in order, numbered without a hole. The newest is kept however large it is.
    """

    def __init__(self, bytes_max: int, last_commit_no: int) -> None:
        self.first_commit_no = last_commit_no + 1
        self.last_commit_no = last_commit_no
        self._bytes_max = bytes_max
        self._bytes = 0
        self._batches: dict[int, tuple[Sequence[RecordBatch], int]] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._choosy: dict[asyncio.Future[int | None], Collection[str]] = {}

    def add(self, batches: Sequence[RecordBatch], size_bytes: int) -> None:
        """Take in the next commit, its batches by stream and partition, and wake readers.

        `size_bytes` is the `memory_bytes` of all its runs, which the caller has counted already.
        """
        self.last_commit_no += 1
        self._batches[self.last_commit_no] = (batches, size_bytes)
        self._bytes += size_bytes
        while self._bytes > self._bytes_max and self.first_commit_no < self.last_commit_no:
            self._bytes -= self._batches.pop(self.first_commit_no)[1]
            self.first_commit_no += 1
        self._wake_all()
        if self._choosy:
            streams = {batch.stream for batch in batches}
            for future, wanted in self._choosy.items():
                if not (streams.isdisjoint(wanted) or future.done()):
                    future.set_result(self.last_commit_no - 1)

    def reset(self, last_commit_no: int) -> None:
        """Forget everything, because the log was read anew and ends with this commit."""
        self._batches.clear()
        self._bytes = 0
        self.first_commit_no = last_commit_no + 1
        self.last_commit_no = last_commit_no
        self.wake()

    def covers(self, commit_no: int) -> bool:
        """Whether everything that came after `commit_no` is here."""
        return self.first_commit_no <= commit_no + 1

    def batches_of(self, commit_no: int) -> Sequence[RecordBatch]:
        """The batches of one commit of the window."""
        return self._batches[commit_no][0]

    def wake(self) -> None:
        """Let every waiting reader look again."""
        self._wake_all()
        for future in self._choosy:
            if not future.done():
                future.set_result(None)

    def _wake_all(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, after_commit_no: int) -> None:
        """Return once there may be more than `after_commit_no`; also when somebody calls `wake`."""
        if self.last_commit_no > after_commit_no:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    async def wait_for(self, after_commit_no: int, streams: Collection[str]) -> int:
        """Return once there may be more of these streams; also when somebody calls `wake`.

        Returns the number of the newest commit before which, and with it, there is none of them
        after `after_commit_no`. A reader of quiet streams so sleeps through a busy log.
        """
        if self.last_commit_no > after_commit_no:
            return after_commit_no
        future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._choosy[future] = streams
        try:
            passed = await future
        finally:
            del self._choosy[future]
        return after_commit_no if passed is None else passed
