"""Large payloads on their way to the log: they become blobs first, and the records refer to them.

Theory of operation
-------------------
What has a large payload waits in the line of its client, and so does everything that the client
publishes behind it: nobody else waits. One task takes the first of each line, has their payloads
written to the blob store in a thread, and hands them on to the log with references in their place.
Blob and reference thus become durable in this order, both before the acknowledgement; a crash
between the two leaves a blob that nobody refers to, which the sweep removes. A disk that refuses is
tried again, until publishers have waited for as long as they wait for the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import StoreUnavailable
from gateway.events import Flag, Run
from gateway.server.submissions import Submission
from gateway.store import CLAIM_BYTES, BlobStore, Reference, claim_puts, encode_reference

LOG = logging.getLogger(__name__)
AT_ONCE_MAX = 16
RETRY_MS = (20, 50, 100, 200, 500, 1_000)


@dataclass(frozen=True, slots=True)
class ClaimLimits:
    """Payloads of more bytes than this become blobs; None: those of this stream never do.

    What is said of a topic goes before what is said of its stream; `least` is the smallest of all.
    """

    bytes_default: int = CLAIM_BYTES
    by_stream: Mapping[str, int | None] = field(default_factory=dict)
    of_topic: Callable[[str], int | None] = lambda _: None
    least_of_topics: int | None = None

    @property
    def least(self) -> int:
        """No payload up to this size becomes a blob."""
        limits = [limit for limit in self.by_stream.values() if limit is not None]
        if self.least_of_topics is not None:
            limits.append(self.least_of_topics)
        return min([self.bytes_default, *limits])

    def of(self, stream: str, topic: str) -> int | None:
        """The limit for one record."""
        limit = self.by_stream.get(stream, self.bytes_default)
        if limit is None:
            return None
        own = self.of_topic(topic)
        return limit if own is None else own


class Spilling:
    """Keeps large payloads beside the log, and the order of each client's records."""

    def __init__(
        self,
        blobs: BlobStore,
        limits: ClaimLimits,
        forward: Callable[[Submission], None],
        refuse: Callable[[Sequence[Submission]], None],
        refuse_after_ms: int,
    ) -> None:
        self._blobs = blobs
        self._limits = limits
        self._forward = forward
        self._refuse = refuse
        self._refuse_after_ms = refuse_after_ms
        self._lines: dict[str, deque[Submission]] = {}
        self._task: asyncio.Task[None] | None = None
        self.least_bytes = limits.least
        self.spilled = 0
        self.spilled_bytes = 0

    def renew(self, limits: ClaimLimits) -> None:
        """Go by other limits from now on."""
        self._limits = limits
        self.least_bytes = limits.least

    @property
    def is_busy(self) -> bool:
        """Whether anything waits here."""
        return bool(self._lines)

    def take(self, submission: Submission) -> bool:
        """Take what has to wait here, and say whether it had to."""
        if submission.publisher is None and not submission.runs:
            return False
        line = self._lines.get(submission.client_id)
        if line is None:
            if not self._is_large(submission):
                return False
            line = self._lines[submission.client_id] = deque()
        line.append(submission)
        if self._task is None:
            self._task = asyncio.ensure_future(self._work())
        return True

    def _is_large(self, submission: Submission) -> bool:
        return any(self._large(run) for run in submission.runs)

    def _large(self, run: Run) -> list[int]:
        """Which payloads of a run are too large for the log."""
        least = self.least_bytes
        large = [index for index, payload in enumerate(run.payloads) if len(payload) > least]
        return [
            index
            for index in large
            if (limit := self._limits.of(run.stream, run.origins[index].topic)) is not None
            and len(run.payloads[index]) > limit
        ]

    async def _work(self) -> None:
        """Serve the lines until they are empty."""
        loop = asyncio.get_running_loop()
        failing_since_s: float | None = None
        tries = 0
        while self._lines:
            heads = [line[0] for line in self._lines.values()][:AT_ONCE_MAX]
            try:
                await asyncio.to_thread(self._keep, heads)
            except StoreUnavailable as error:
                failing_since_s = failing_since_s or loop.time()
                if (loop.time() - failing_since_s) * 1_000 > self._refuse_after_ms:
                    self._give_up(error)
                    continue
                LOG.log(logging.DEBUG if tries else logging.ERROR, "large payloads wait: %s", error)
                await asyncio.sleep(RETRY_MS[min(tries, len(RETRY_MS) - 1)] / 1_000)
                tries += 1
            else:
                failing_since_s, tries = None, 0
                for head in heads:
                    self._go_on(head)
        self._task = None

    def _keep(self, submissions: Sequence[Submission]) -> None:
        """Write the large payloads of some submissions, and let their records refer to them."""
        for submission in submissions:
            for number, run in enumerate(submission.runs):
                for index in self._large(run):
                    run = submission.runs[number] = self._with_reference(run, index)

    def _with_reference(self, run: Run, index: int) -> Run:
        content = run.payloads[index]
        digest = self._blobs.put(content)
        self.spilled += 1
        self.spilled_bytes += len(content)
        payloads, flags = list(run.payloads), bytearray(run.flags)
        payloads[index] = encode_reference(Reference(digest, len(content)))
        flags[index] |= Flag.CLAIM
        run.payloads, run.flags = payloads, bytes(flags)
        return run

    def _go_on(self, head: Submission) -> None:
        """Hand on what is kept, and what waits behind it, up to the next large payload."""
        line = self._lines[head.client_id]
        while line:
            submission = line[0]
            if self._is_large(submission):
                return
            line.popleft()
            submission.puts += claim_puts(submission.runs)
            self._forward(submission)
        del self._lines[head.client_id]

    def _give_up(self, error: StoreUnavailable) -> None:
        """Refuse everything that waits: its publishers may send it again."""
        LOG.error("large payloads are not stored: %s", error)
        lines, self._lines = self._lines, {}
        self._refuse([submission for line in lines.values() for submission in line])
