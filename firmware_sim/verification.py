"""Compares the account of a fleet with what the server kept: by the log, or by a witness.

The referee is honest: it knows only what a user could know, and not whom it talks to.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from firmware_sim.account import Verdict
from firmware_sim.chance import derive_key
from firmware_sim.connecting import Target, greet, wait_until
from firmware_sim.failures import SimulationFailed
from firmware_sim.fleet import GOODBYE_S, Fleet
from firmware_sim.log_reader import iso_time, payload_bytes, read_log
from firmware_sim.scenario import Scenario
from firmware_sim.switchboard import RunClock, Switchboard
from firmware_sim.witness import Witness

# The log is found by arrival time, by a clock that may have been set back since the run began.
LOG_MARGIN_MS = 60_000
WITNESS_QUIET_S = 5.0
WITNESS_READY_S = 10.0


async def settle_with_log(fleet: Fleet, data_dir: Path, stream: str) -> Verdict:
    """Compare the account of a finished run with `stream` of the log in `data_dir`.

    Raises:
        SimulationFailed: the log can't be read.
    """
    start = iso_time(fleet.start_ms - LOG_MARGIN_MS)
    async for record in read_log(stream, data_dir, start):
        fleet.ledger.stored(str(record.get("topic")), payload_bytes(record))
    return fleet.ledger.settle()


def topic_filters(scenario: Scenario) -> list[str]:
    """The filters that match every topic of a scenario, each once."""
    filters = [
        "/".join(
            "+" if "{device}" in level else level.replace("{kind}", kind.name)
            for level in kind.topic_template.split("/")
        )
        for kind in scenario.kinds
    ]
    return list(dict.fromkeys(filters))


class WitnessStand:
    """A witness that listens while a fleet runs, and what it has seen at the end."""

    def __init__(self, fleet: Fleet, target: Target, clock: RunClock) -> None:
        self._ledger = fleet.ledger
        self._target = target
        self._clock = clock
        name = f"penstock-sim-witness-{fleet.options.seed}-{clock.now_ms()}"
        self._client_id = target.client_id_for(name)
        self._witness = Witness(
            target.line_options(self._client_id),
            topic_filters(fleet.scenario),
            fleet.ledger.stored,
            derive_key(fleet.options.seed, self._client_id),
        )
        self._board = Switchboard([self._witness], target.host, target.port, clock)

    async def begin(self) -> None:
        """Return when the subscription stands.

        Raises:
            ServerAbsent, ServerRefused, SimulationFailed: it can't be had.
        """
        await greet(self._target, self._client_id, self._clock)
        witness = self._witness
        witness.line.wake(self._clock.now_ms())
        self._board.start()
        await wait_until(lambda: witness.is_ready or bool(witness.refusal), WITNESS_READY_S)
        if not witness.is_ready:
            await self._board.stop()
            why = witness.refusal or witness.line.latest_error or "no answer"
            raise SimulationFailed(f"the server refuses the witness's subscription: {why}")

    async def end(self) -> Verdict:
        """Wait until every acknowledged reading is seen, or nothing comes any more; then settle."""
        is_quiet = False
        while self._ledger.settle().missing and not is_quiet:
            is_quiet = not await wait_until(self._hears_more(), WITNESS_QUIET_S)
        self._board.command(Witness.close)
        await wait_until(lambda: self._board.connections == 0, GOODBYE_S)
        await self._board.stop()
        # A clean start removes the session, which nobody will ever come back to.
        await greet(self._target, self._client_id, self._clock)
        return self._ledger.settle()

    def _hears_more(self) -> Callable[[], bool]:
        deliveries = self._witness.deliveries
        return lambda: self._witness.deliveries > deliveries
