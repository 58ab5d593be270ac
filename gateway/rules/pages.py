"""The samples of a window as pages of a table, so that a checkpoint writes only what is new.

A window of five minutes that is saved every ten seconds would else be written thirty times over,
and flash wears. A page holds consecutive samples; a page whose samples have all left is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from msgspec import msgpack

from gateway.rules.values import Value

PAGE_SAMPLES_MIN = 16
PAGES_MAX = 128


class Samples(NamedTuple):
    """The samples that a window holds: the last of the `taken` that it ever took."""

    taken: int
    times: list[int]
    columns: list[list[Value]]

    @property
    def first(self) -> int:
        """The number of the oldest sample."""
        return self.taken - len(self.times)


class Pages:
    """Which pages of a window are in the table: their numbers, and how far each reaches."""

    __slots__ = ("ends", "next_no")

    def __init__(self, ends: list[list[int]] | None = None, next_no: int = 0) -> None:
        self.ends = ends or []
        self.next_no = next_no

    def update(self, samples: Samples) -> Iterator[tuple[int, bytes | None]]:
        """Bring the table up to date: pages to write by number, and None for those to delete."""
        first = samples.first
        while self.ends and self.ends[0][1] <= first:
            yield self.ends.pop(0)[0], None
        saved = max(first, self.ends[-1][1]) if self.ends else first
        if samples.taken == saved:
            return
        page_no, start = self.next_no, saved
        size_min = max(PAGE_SAMPLES_MIN, len(samples.times) // PAGES_MAX)
        if self.ends and saved - self._start_of_last(first) < size_min:
            # Many small pages cost more than to write the last one again.
            start = self._start_of_last(first)
            page_no, _ = self.ends.pop()
        else:
            self.next_no += 1
        self.ends.append([page_no, samples.taken])
        yield page_no, encode_page(samples, start)

    def join(self, pages: Mapping[int, list[Any]], first: int, columns: int) -> Samples | None:
        """The samples from number `first` on; None when a page is missing."""
        samples = Samples(first, [], [[] for _ in range(columns)])
        taken = first
        for page_no, end in self.ends:
            if page_no not in pages:
                return None
            start, time_ms, steps, values = pages[page_no]
            times = []
            for step in steps:
                time_ms += step
                times.append(time_ms)
            skipped = max(0, taken - start)
            samples.times.extend(times[skipped:])
            for column, new in zip(samples.columns, values, strict=True):
                column.extend(new[skipped:])
            taken = end
        return samples._replace(taken=taken)

    def _start_of_last(self, first: int) -> int:
        before = self.ends[-2][1] if len(self.ends) > 1 else first
        return max(first, before)


def encode_page(samples: Samples, start: int) -> bytes:
    """The samples from number `start` on: the first time, the steps from it, and the columns."""
    offset = start - samples.first
    times = samples.times[offset:]
    steps = [0, *(later - earlier for earlier, later in pairwise(times))]
    columns = [column[offset:] for column in samples.columns]
    return msgpack.encode([start, times[0], steps, columns])
