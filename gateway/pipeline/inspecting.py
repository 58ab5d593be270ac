"""The loop that copies payloads which their profile can't read to the dead letters.

It is a consumer group of its own, so nothing waits for it: neither the acknowledgement nor the
rules. Dead letters and the group's offsets are one commit, so each is written once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.devices import Decode, PayloadInvalid, Profile, ProfileBook, Undecodable
from gateway.errors import StoreUnavailable
from gateway.events import Flag, RecordBatch, Run
from gateway.pipeline.pieces import cut
from gateway.store import ConsumerStore, Failure, Member, begin_at_end, letter_run

GROUP = "profiles"
TOPICS_MAX = 65_536
DEAD_LETTER = "dead-letter"


@dataclass(frozen=True, slots=True)
class InspectionOptions:
    """How much is looked at in one go, and how much a crash may cause to be looked at again."""

    slice_records: int = 500
    commit_records: int = 100_000
    commit_interval_ms: int = 60_000
    retry_ms: int = 500


class Inspection:
    """Reads every stream that profiles are about, behind everyone else."""

    def __init__(
        self,
        store: ConsumerStore,
        book: ProfileBook,
        streams: Sequence[str],
        clock: Clock,
        options: InspectionOptions | None = None,
    ) -> None:
        self._store = store
        self._book = book
        book.watch(self._forget)
        self._streams = streams
        self._clock = clock
        self._options = options or InspectionOptions()
        self._inspectors_by_topic: dict[str, tuple[Profile, Decode] | None] = {}
        self._letters: list[Run] = []
        self._renewed = asyncio.Event()
        self._offsets: dict[tuple[str, int], int] = {}
        self._unsaved_records = 0
        self._committed_ms = clock.monotonic_ms()
        self.letters_written = 0

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            MemberFenced: another gateway inspects this log.
        """
        await self._begin()
        member = self._store.join(GROUP, list(self._streams))
        try:
            while True:
                for piece in cut(await self._poll(member), self._options.slice_records):
                    for batch in piece:
                        self.look_through(batch)
                    if self._is_due():
                        await self._commit(member)
                    # Let the listeners breathe: they share this thread.
                    await asyncio.sleep(0)
        finally:
            await member.close()

    async def _begin(self) -> None:
        """See that the group begins with what comes, unless it has its place already.

        As long as no profile wants it, it has no place and reads nothing.
        """
        while not any(profile.is_inspected for profile in self._book.profiles):
            await self._renewed.wait()
            self._renewed.clear()
        while True:
            try:
                await begin_at_end(self._store, GROUP, list(self._streams))
            except StoreUnavailable:
                await asyncio.sleep(self._options.retry_ms / 1_000)
            else:
                return

    async def _poll(self, member: Member) -> Sequence[RecordBatch]:
        """What comes next; returns empty when it is time to save how far this has come."""
        patience_s = self._options.commit_interval_ms / 1_000 if self._unsaved_records else None
        try:
            return await asyncio.wait_for(member.poll(), patience_s)
        except TimeoutError:
            await self._commit(member)
        except StoreUnavailable:
            # The store reopens itself; nothing was read, so nothing is lost.
            await asyncio.sleep(self._options.retry_ms / 1_000)
        return ()

    def look_through(self, batch: RecordBatch) -> None:
        """Note the dead letters of a batch, and that it was read."""
        offset = batch.base_offset
        inspectors = self._inspectors_by_topic
        for run in batch.runs:
            for origin, raw, flags in zip(run.origins, run.payloads, run.flags, strict=True):
                topic = origin.topic
                inspector = inspectors[topic] if topic in inspectors else self._find(topic)
                # What lies in a blob was never meant to be decoded on its way.
                if inspector is not None and flags < Flag.CLAIM:
                    cause = inspect(*inspector, raw)
                    if cause:
                        self._note(batch, offset, inspector[0], cause)
                offset += 1
        self._offsets[batch.stream, batch.partition] = batch.next_offset
        self._unsaved_records += batch.count

    def _note(self, batch: RecordBatch, offset: int, profile: Profile, cause: str) -> None:
        (record,) = batch.slice(offset, offset + 1).records()
        failure = Failure(cause, GROUP, f"profile {profile.name}", 1)
        self._letters.append(letter_run(record, failure, self._clock.now_ms()))

    def _find(self, topic: str) -> tuple[Profile, Decode] | None:
        """Who inspects a topic; remembered, for as many topics as there is room."""
        if len(self._inspectors_by_topic) >= TOPICS_MAX:
            self._inspectors_by_topic.clear()
        profile = self._book.profile_of(topic)
        found = None
        if profile is not None and profile.is_inspected:
            found = (profile, self._book.decoder_named(profile.name))
        self._inspectors_by_topic[topic] = found
        return found

    def _forget(self) -> None:
        self._inspectors_by_topic.clear()
        self._renewed.set()

    def _is_due(self) -> bool:
        if self._letters:
            return True
        waited_ms = self._clock.monotonic_ms() - self._committed_ms
        return (
            self._unsaved_records >= self._options.commit_records
            or waited_ms >= self._options.commit_interval_ms
        )

    async def _commit(self, member: Member) -> None:
        """Write letters and offsets, again and again while the disk refuses."""
        letters, self._letters = self._letters, []
        offsets, self._offsets = self._offsets, {}
        self._unsaved_records = 0
        self._committed_ms = self._clock.monotonic_ms()
        while True:
            try:
                await member.commit(outputs=letters, offsets=offsets)
            except StoreUnavailable:
                await asyncio.sleep(self._options.retry_ms / 1_000)
                if await self._has_landed(offsets):
                    break
            else:
                break
        self.letters_written += len(letters)

    async def _has_landed(self, offsets: dict[tuple[str, int], int]) -> bool:
        """Whether a commit that failed is in the log all the same: no letter must go twice."""
        try:
            groups = await self._store.groups()
        except StoreUnavailable:
            return False
        return any(
            group.name == GROUP
            and all(group.offsets.get(key, -1) >= offset for key, offset in offsets.items())
            for group in groups
        )


def inspect(profile: Profile, decode: Decode, raw: bytes) -> str:
    """Why a payload belongs to the dead letters; the empty text when it doesn't."""
    try:
        decode(raw)
    except PayloadInvalid as error:
        return str(error) if profile.invalid == DEAD_LETTER else ""
    except Undecodable as error:
        return str(error) if profile.undecodable == DEAD_LETTER else ""
    return ""
