"""Replays a recording on a real socket: checks it first, then sees every row acknowledged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from firmware_sim.connecting import Target, greet, wait_until
from firmware_sim.failures import SimulationFailed
from firmware_sim.line import Phase
from firmware_sim.player import Player
from firmware_sim.recording import Recording, Survey
from firmware_sim.retelling import Retelling
from firmware_sim.switchboard import RunClock, Switchboard

PROGRESS_S = 1.0
GOODBYE_S = 5.0
ONCE = Retelling()


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How a recording is replayed."""

    client_id: str
    qos: int = 1
    window: int = 100
    speed: float | None = None
    give_up_ms: int = 60_000
    """How long nothing may be acknowledged, while something waits for it."""


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """A replay at one moment."""

    elapsed_ms: int
    rows: int
    published: int
    acknowledged: int
    repeats: int
    refused: int
    reconnects: int
    latency_ms_p50: int
    latency_ms_p99: int
    latency_ms_max: int

    @property
    def rows_per_s(self) -> int:
        return round(self.published * 1_000 / max(1, self.elapsed_ms))


class Replay:
    """One recording on its way to one server."""

    def __init__(
        self,
        recording: Recording,
        options: ReplayOptions,
        target: Target,
        clock: RunClock,
        retelling: Retelling = ONCE,
    ) -> None:
        """Check every row of the recording before any of them is sent.

        Raises:
            RecordingInvalid: a row is wrong.
        """
        self.survey: Survey = recording.survey()
        self.options = options
        self._retelling = retelling
        self.player = Player(
            retelling.tell(recording, self.survey, clock.now_ms()),
            target.line_options(options.client_id),
            qos=options.qos,
            window=options.window,
            speed=options.speed,
        )
        self._target = target
        self._clock = clock
        self._start_ms = clock.now_ms()
        self._is_stopped = False

    def stop(self) -> None:
        """Send no more; `run` returns with what was acknowledged so far."""
        self._is_stopped = True

    async def run(self, watch: Callable[[ReplayProgress], None]) -> ReplayProgress:
        """Publish every row in order, again after a lost connection, until all are acknowledged.

        Raises:
            ServerAbsent, ServerRefused: before the first row.
            SimulationFailed: nothing was acknowledged for too long.
        """
        await greet(self._target, self.options.client_id, self._clock)
        player = self.player
        board = Switchboard([player], self._target.host, self._target.port, self._clock)
        self._start_ms = self._clock.now_ms()
        player.publisher.line.wake(self._start_ms)
        board.start()
        try:
            await self._see_through(watch)
            final = self.progress()
            board.command(Player.close)
            await wait_until(lambda: board.connections == 0, GOODBYE_S)
        finally:
            await board.stop()
        with contextlib.suppress(SimulationFailed):
            # A clean start removes the session, which nobody will ever come back to.
            await greet(self._target, self.options.client_id, self._clock)
        return final

    async def _see_through(self, watch: Callable[[ReplayProgress], None]) -> None:
        moved_ms, seen = self._clock.now_ms(), -1
        while not await wait_until(lambda: self.player.is_done or self._is_stopped, PROGRESS_S):
            watch(self.progress())
            moves = self.player.tally.acknowledged + self.player.tally.published
            if moves != seen or self._waits_for_its_time():
                moved_ms, seen = self._clock.now_ms(), moves
            elif self._clock.now_ms() - moved_ms > self.options.give_up_ms:
                raise SimulationFailed(self._complaint())

    def _waits_for_its_time(self) -> bool:
        """Whether there is nothing to do before the next row's moment."""
        publisher = self.player.publisher
        return publisher.is_idle and publisher.line.phase is Phase.UP

    def _complaint(self) -> str:
        now = self.progress()
        why = self.player.publisher.line.latest_error or "no answer"
        return (
            f"nothing was acknowledged for {self.options.give_up_ms // 1_000} s ({why}); "
            f"{now.acknowledged} of {now.rows} rows are acknowledged"
        )

    def progress(self) -> ReplayProgress:
        """Where the replay stands now."""
        tally = self.player.tally
        rows = self._retelling.rows(self.survey)
        p50_ms, p99_ms = tally.latency.percentiles_ms((0.5, 0.99))
        return ReplayProgress(
            elapsed_ms=self._clock.now_ms() - self._start_ms,
            rows=tally.published if rows is None else rows,
            published=tally.published,
            acknowledged=tally.acknowledged,
            repeats=tally.repeats,
            refused=tally.refused,
            reconnects=max(0, self.player.publisher.line.connects - 1),
            latency_ms_p50=p50_ms,
            latency_ms_p99=p99_ms,
            latency_ms_max=tally.latency.most_ms,
        )
