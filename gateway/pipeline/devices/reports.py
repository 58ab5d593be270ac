"""The service that tells of gaps in what devices send, and of devices that have fallen silent.

Theory of operation. What was seen of a device is in memory; it is written down with the offsets up
to which it is true: when something is told, every half minute, and before the loop saves offsets by
itself. So after a crash no gap is told twice, and none is missed. Silence counts from the start of
the gateway at the earliest: while it was down, nobody could be heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from gateway.clock import Clock
from gateway.devices import (
    REPORTS_TABLE,
    Decode,
    PayloadInvalid,
    Profile,
    ProfileBook,
    Seen,
    Undecodable,
    decode_seen,
    encode_seen,
    number_in,
    sequence_step,
)
from gateway.events import Record
from gateway.pipeline.devices.loop import Around, ServiceLoop
from gateway.pipeline.devices.turns import Turn
from gateway.store import StreamStore, begin_at_end

DEVICES_MAX = 100_000
TOPICS_MAX = 65_536
SAVE_RECORDS = 5_000
SAVE_MS = 30_000
LOOKS_PER_SILENCE = 4
LOOK_MS_LEAST = 250


class Watch(NamedTuple):
    """What is looked at in the messages of a topic."""

    profile: Profile
    decode: Decode


class ReportService:
    """Watches the devices whose profiles have `sequence` or `report`."""

    group = "device-reports"

    def __init__(self, book: ProfileBook, streams: Sequence[str], clock: Clock) -> None:
        self.streams = streams
        self._book = book
        self._clock = clock
        self._began_ms = 0
        self._watches: dict[str, Watch | None] = {}
        self._seen: dict[tuple[str, str], Seen] = {}
        self._dirty: dict[tuple[str, str], None] = {}
        self._records = 0
        self._save_at_ms: int | None = None
        self._look_at_ms = self._began_ms
        self._has_told = False

    async def begin(self, store: StreamStore) -> None:
        """Begin with what comes, if it has never worked here; know what was seen before."""
        await begin_at_end(store, self.group, list(self.streams))
        self._began_ms = self._look_at_ms = self._clock.now_ms()
        self._seen.clear()
        for key, encoded in await store.entries(REPORTS_TABLE):
            profile, _, device = key.partition("/")
            seen = decode_seen(encoded)
            if seen is not None:
                self._seen[profile, device] = seen

    def forget_topics(self) -> None:
        """Look anew which profile a topic has: the profiles have changed."""
        self._watches.clear()

    def due_ms(self) -> int | None:
        """Now, when something was told; else when to look for silence, or to write down."""
        if self._has_told or self._records >= SAVE_RECORDS:
            return 0
        due = [self._look_at_ms] if self._seen else []
        if self._save_at_ms is not None:
            due.append(self._save_at_ms)
        return min(due, default=None)

    async def wake(self, turn: Turn) -> None:
        """Look for devices that are silent, and write down what was seen."""
        if self._seen and turn.now_ms >= self._look_at_ms:
            self._look(turn)
        is_due = self._save_at_ms is not None and turn.now_ms >= self._save_at_ms
        if self._has_told or is_due or self._records >= SAVE_RECORDS:
            self._save(turn)

    async def welcome(self, device: str, turn: Turn) -> None:
        """It tells devices nothing."""

    def close(self) -> None:
        """Nobody waits for it."""

    async def take(self, record: Record, turn: Turn) -> None:
        """Note that a device was heard, and which number it was at."""
        self._records += 1
        topic = record.topic
        watch = self._watches[topic] if topic in self._watches else self._find(topic)
        if watch is None:
            return
        place = watch.profile.name, record.device
        seen = self._seen.get(place)
        if seen is None:
            if len(self._seen) >= DEVICES_MAX:
                return
            seen = self._seen[place] = Seen(record.arrival_ms)
        self._dirty[place] = None
        if self._save_at_ms is None:
            self._save_at_ms = turn.now_ms + SAVE_MS
        if seen.is_silent:
            seen.is_silent = False
            self._tell_state(turn, place, "reporting", record.arrival_ms, seen.last_ms)
        seen.last_ms = record.arrival_ms
        if watch.profile.sequence is not None and not record.is_claim:
            self._count(watch, record, seen, turn)

    def _find(self, topic: str) -> Watch | None:
        """What is looked at in a topic; remembered, for as many topics as there is room."""
        if len(self._watches) >= TOPICS_MAX:
            self._watches.clear()
        profile = self._book.profile_of(topic)
        watch = None
        if profile is not None and profile.is_watched:
            watch = Watch(profile, self._book.decoder_named(profile.name))
        self._watches[topic] = watch
        return watch

    def _count(self, watch: Watch, record: Record, seen: Seen, turn: Turn) -> None:
        sequence = watch.profile.sequence
        try:
            value = watch.decode(record.payload)
        except (Undecodable, PayloadInvalid):
            return
        number = None if sequence is None else number_in(value, sequence)
        if number is None or sequence is None:
            return
        last, seen.number = seen.number, number
        step = sequence_step(last, number, sequence.wrap)
        if step.missing or step.is_restart:
            self._has_told = True
            event = {
                "device": record.device,
                "profile": watch.profile.name,
                "event": "restart" if step.is_restart else "gap",
                "missing": step.missing,
                "after": last,
                "before": number,
                "topic": record.topic,
                "time": record.arrival_ms,
            }
            turn.say(f"presence/{record.device}/gaps", orjson.dumps(event))

    def _look(self, turn: Turn) -> None:
        """Tell of those that have said nothing for too long."""
        least_ms = SAVE_MS * LOOKS_PER_SILENCE
        allowed = {
            profile.name: profile.report.silent_after_ms
            for profile in self._book.profiles
            if profile.report is not None
        }
        for place, seen in self._seen.items():
            silent_after_ms = allowed.get(place[0])
            if silent_after_ms is None or seen.is_silent:
                continue
            if turn.now_ms - max(seen.last_ms, self._began_ms) > silent_after_ms:
                seen.is_silent = True
                self._dirty[place] = None
                self._tell_state(turn, place, "silent", turn.now_ms, seen.last_ms)
        least_ms = min([least_ms, *allowed.values()])
        self._look_at_ms = turn.now_ms + max(least_ms // LOOKS_PER_SILENCE, LOOK_MS_LEAST)

    def _tell_state(
        self, turn: Turn, place: tuple[str, str], state: str, time_ms: int, last_ms: int
    ) -> None:
        profile, device = place
        self._has_told = True
        event = {
            "device": device,
            "profile": profile,
            "state": state,
            "last": last_ms,
            "time": time_ms,
        }
        turn.say(f"presence/{device}/reports", orjson.dumps(event), retain=True)

    def _save(self, turn: Turn) -> None:
        for place in self._dirty:
            turn.put(REPORTS_TABLE, "/".join(place), encode_seen(self._seen[place]))
        self._dirty.clear()
        self._records = 0
        self._save_at_ms = None
        self._has_told = False


class ReportWatch:
    """Sets the service to work as soon as a profile asks for it; `tasks` gets what runs."""

    def __init__(
        self,
        book: ProfileBook,
        streams: Sequence[str],
        around: Around,
        tasks: list[asyncio.Task[None]],
    ) -> None:
        self._book = book
        self._around = around
        self._tasks = tasks
        self._service = ReportService(book, streams, around.clock)
        self._is_at_work = False

    def start(self) -> None:
        """Begin now, or when a profile that asks for it comes."""
        self._look()
        self._book.watch(self._look)

    def _look(self) -> None:
        self._service.forget_topics()
        if not self._is_at_work and any(one.is_watched for one in self._book.profiles):
            self._is_at_work = True
            run = ServiceLoop(self._service, self._around).run()
            self._tasks.append(asyncio.create_task(run, name=self._service.group))
