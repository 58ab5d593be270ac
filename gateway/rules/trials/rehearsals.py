"""Plays a test case to the engine: the clock is virtual, and stops wherever something happens.

Between two messages every moment at which silence changes something gets its tick, as the gateway
would write it; so what a case shows is what the running gateway would do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import orjson

from gateway.events import Origin, RecordBatch, Run
from gateway.rules.device_facts import GATEWAY_CLIENT, TWINS_STREAM, decode_fact
from gateway.rules.engine import Engine
from gateway.rules.lookups import Version
from gateway.rules.loopbacks import Loopback
from gateway.rules.outputs import RULES_CLIENT, TICKS_STREAM, Output
from gateway.rules.rule_sets import RuleSet
from gateway.rules.trials.cases import Trial, TrialEvent
from gateway.rules.trials.outcomes import Happening, Outcome
from gateway.rules.trials.standings import states_at
from gateway.rules.trials.verdicts import judge

DeviceOf = Callable[[str], str]

STREAM: Final = "telemetry"
CLIENT: Final = "test"
TICKS_MAX: Final = 1_000_000


class Rehearsal:
    """One case under way."""

    def __init__(
        self, rules: RuleSet, trial: Trial, device_of: DeviceOf, versions: Iterable[Version]
    ) -> None:
        self._engine = Engine(rules.rules, rules.inventories)
        for version in versions:
            self._engine.look_up(version)
        self._loopback = Loopback(self._engine, rules.derived_streams_read)
        self._trial = trial
        self._device_of = device_of
        self._commit_no = 0
        self._offsets: dict[str, int] = {}
        self._now_ms = 0
        self._tick_count = 0
        self._happenings: list[Happening] = []
        self._states: dict[int, frozenset[str]] = {}

    def run(self) -> Outcome:
        """Play the case to its end, and judge it."""
        trial = self._trial
        looks = [
            (one.end_ms or 0, number)
            for number, one in enumerate(trial.expectations)
            if one.about == "state"
        ]
        looks.sort(reverse=True)
        if self._engine.awaits_starts:
            self._tick(0, is_start=True)
        for event in trial.events:
            while looks and looks[-1][0] < event.arrival_ms:
                self._look(*looks.pop())
            self._pass_until(event.arrival_ms - 1)
            self._now_ms = event.arrival_ms
            self._take(event)
        while looks:
            self._look(*looks.pop())
        self._pass_until(trial.until_ms)
        happenings = tuple(self._happenings)
        return Outcome(trial, happenings, tuple(judge(trial, happenings, self._states)))

    def _look(self, at_ms: int, number: int) -> None:
        """Note how the alarms stand that an expectation is about."""
        self._pass_until(at_ms)
        fields = self._trial.expectations[number].fields
        key = fields.get("key")
        self._states[number] = states_at(self._engine, str(fields["rule"]), key)

    def _pass_until(self, now_ms: int) -> None:
        """Let time pass, and all happen that silence brings about up to a moment."""
        start_ms = self._trial.start_ms
        while self._tick_count < TICKS_MAX:
            due_ms = self._engine.next_tick_ms()
            if due_ms is None or due_ms - start_ms > now_ms:
                break
            self._tick_count += 1
            self._tick(max(due_ms - start_ms, self._now_ms))
        self._now_ms = max(self._now_ms, now_ms)

    def _tick(self, now_ms: int, *, is_start: bool = False) -> None:
        self._now_ms = max(self._now_ms, now_ms)
        tick: dict[str, object] = {"now_ms": self._trial.start_ms + now_ms}
        if is_start:
            tick["is_start"] = True
        origin = Origin(TICKS_STREAM, TICKS_STREAM)
        self._feed(TICKS_STREAM, RULES_CLIENT, origin, orjson.dumps(tick))

    def _take(self, event: TrialEvent) -> None:
        device = event.device or self._device_of(event.topic)
        # A case says what is known of a device as the gateway would.
        if decode_fact(event.topic, event.payload) is not None:
            origin = Origin(event.topic, event.topic.split("/")[1])
            self._feed(TWINS_STREAM, GATEWAY_CLIENT, origin, event.payload)
            return
        self._feed(STREAM, CLIENT, Origin(event.topic, device), event.payload)

    def _feed(self, stream: str, client: str, origin: Origin, payload: bytes) -> None:
        """Give one record to the engine, as a commit of its own."""
        arrival_ms = self._trial.start_ms + self._now_ms
        run = Run(stream, 0, client, arrival_ms, [origin], [payload], bytes(1))
        offset = self._offsets.get(stream, 0)
        self._offsets[stream] = offset + 1
        self._commit_no += 1
        batch = RecordBatch(stream, 0, offset, self._commit_no, [run])
        self._note(self._loopback.feed([batch]))

    def _note(self, outputs: list[Output]) -> None:
        start_ms = self._trial.start_ms
        self._happenings += (Happening.of(one, self._now_ms, start_ms) for one in outputs)


def rehearse(
    rules: RuleSet, trial: Trial, device_of: DeviceOf, versions: Iterable[Version] = ()
) -> Outcome:
    """Play one case to a fresh engine.

    `device_of` says which device a topic is about, `versions` are what the look-ups hold.
    """
    return Rehearsal(rules, trial, device_of, versions).run()
