"""Dead letters put back to the end of the partition that they came from, each once."""

from __future__ import annotations

from typing import NamedTuple

from gateway.clock import Clock
from gateway.errors import StoreError, UnknownStream
from gateway.events import Record, Run
from gateway.store.blobs.references import claim_puts
from gateway.store.groups.letters import (
    DEAD_LETTERS,
    REDRIVEN_TABLE,
    Letter,
    mark_key,
    read_letter,
    redriven_run,
)
from gateway.store.protocol import Put, StreamStore

LETTERS_AT_ONCE_MAX = 500


class RedriveWish(NamedTuple):
    """Which dead letters are meant: of a stream, with a text in the cause, so many, even again."""

    stream: str = ""
    cause: str = ""
    limit: int | None = None
    is_again: bool = False

    def takes(self, letter: Letter) -> bool:
        """Whether a dead letter is meant."""
        is_stream = not self.stream or letter.record.stream == self.stream
        return is_stream and self.cause in letter.failure.cause


class Redriven(NamedTuple):
    """How many letters went back, and how many were passed over as they had gone back before."""

    records: int
    passed_over: int


async def redrive(store: StreamStore, clock: Clock, wish: RedriveWish) -> Redriven:
    """Put dead letters back, oldest first; each in one commit with the mark that says so.

    Raises:
        UnknownStream: the stream of a letter is gone; those before it are back.
    """
    try:
        offset, end_offset = await store.bounds(DEAD_LETTERS.name, 0)
    except UnknownStream:
        return Redriven(0, 0)
    marks = {key for key, _ in await store.table(REDRIVEN_TABLE).items()}
    await forget_marks(store, marks, offset)
    count = passed_over = 0
    while offset < end_offset and (wish.limit is None or count < wish.limit):
        chunk = await store.fetch(DEAD_LETTERS.name, 0, offset, records_max=LETTERS_AT_ONCE_MAX)
        offset = chunk.next_offset if chunk.next_offset > offset else end_offset
        chosen: list[tuple[Record, Letter]] = []
        for stored in (record for batch in chunk.batches for record in batch.records()):
            letter = readable(stored)
            if letter is None or not wish.takes(letter):
                continue
            if mark_key(stored) in marks and not wish.is_again:
                passed_over += 1
            elif wish.limit is None or count + len(chosen) < wish.limit:
                chosen.append((stored, letter))
        await put_back(store, clock, chosen)
        count += len(chosen)
    return Redriven(count, passed_over)


async def put_back(store: StreamStore, clock: Clock, chosen: list[tuple[Record, Letter]]) -> None:
    """Append the records of some letters once more and mark the letters, in one commit."""
    now_ms = clock.now_ms()
    runs: list[Run] = [redriven_run(letter.record, now_ms) for _, letter in chosen]
    puts = [Put(REDRIVEN_TABLE, mark_key(stored), b"%d" % now_ms) for stored, _ in chosen]
    if runs:
        await store.append(runs, [*puts, *claim_puts(runs)])


def readable(stored: Record) -> Letter | None:
    """The letter in a record; None when it is none: anybody may have published there."""
    try:
        return read_letter(stored)
    except StoreError:
        return None


async def forget_marks(store: StreamStore, marks: set[str], start_offset: int) -> None:
    """Drop the marks of letters that retention has removed."""
    old = [key for key in marks if int(key.partition("@")[2]) < start_offset]
    if old:
        await store.append((), [Put(REDRIVEN_TABLE, key, None) for key in old])
