"""A key whose value is watched for what is unlike its history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.rules.aggregates import is_number
from gateway.rules.alarms import Outbox
from gateway.rules.anomalies.plans import AnomalyPlan
from gateway.rules.anomalies.resampling import Resampler
from gateway.rules.anomalies.scores import VALUE_MAX
from gateway.rules.conditions import Change, Phase
from gateway.rules.event_names import Event, ScopeMap, names_of_event
from gateway.rules.pages import Pages, Samples
from gateway.rules.plans import RulePlan
from gateway.rules.tracks import Track
from gateway.rules.values import UNKNOWN, Value

SCORE = "score"


class AnomalyTrack(Track):
    """The history of one key, and an alarm that is up while the newest value is unlike it."""

    __slots__ = ("anomaly", "method", "resampler")

    def __init__(self, plan: RulePlan, key: Value, text: str) -> None:
        super().__init__(plan, key, text)
        if not isinstance(plan.pattern, AnomalyPlan):
            raise TypeError(f"rule {plan.spec.id!r} has no anomaly")
        self.anomaly = plan.pattern
        self.method = self.anomaly.begin()
        step_ms = self.anomaly.resample_ms
        self.resampler = Resampler(step_ms) if step_ms is not None else None
        self.pages = Pages()

    def advance(
        self, event: Event, values: tuple[Value, ...], scope: ScopeMap, outbox: Outbox
    ) -> None:
        """Take in the next event of the key."""
        samples = self.admit(event, values, scope)
        if samples is None or not is_number(samples[0]):
            return
        value = max(-VALUE_MAX, min(float(samples[0]), VALUE_MAX))
        if self.resampler is not None:
            self.resampler.add(event[0], value)
            self.due_ms = self.find_due()
            return
        change = self._judge(event[0], value, scope)
        if change is not None:
            names = {**scope, **names_of_event(event), "key": self.key}
            outbox.announce(self.plan, self.text, change, names)

    def fire(self, outbox: Outbox) -> None:
        """Do the one thing that is due at `due_ms`."""
        self.is_dirty = True
        moment_ms, resampler = self.due_ms, self.resampler
        scope = self.remembered(moment_ms, outbox)
        if self.condition.due_ms == moment_ms or resampler is None:
            change = self.condition.fire()
            self.due_ms = self.find_due()
        else:
            change = self._judge(moment_ms, resampler.take(), scope)
        if change is not None:
            outbox.announce(self.plan, self.text, change, scope)

    def find_due(self) -> int:
        """When something is due next."""
        due_ms = self.condition.due_ms
        return due_ms if self.resampler is None else min(due_ms, self.resampler.due_ms)

    @property
    def is_idle(self) -> bool:
        """Never: it remembers what is normal."""
        return False

    def pack_own(self) -> tuple[Value, Samples | None]:
        """What it has learned; the numbers apart from the rest."""
        method = self.method
        numbers = method.numbers()
        resampler = self.resampler.pack() if self.resampler is not None else None
        own = [method.pack(), resampler, method.taken, len(numbers)]
        return own, Samples(method.taken, [0] * len(numbers), [list(numbers)])

    def unpack_own(self, packed: Value, pages: Mapping[int, list[Any]]) -> bool:
        """Take over what was learned; False when a page is missing."""
        own, resampler, taken, count = packed
        samples = self.pages.join(pages, taken - count, 1)
        if samples is None or (count and samples.taken != taken):
            return False
        self.method.unpack(own, samples.columns[0], taken)
        if self.resampler is not None:
            self.resampler.unpack(resampler)
        return True

    def _judge(self, time_ms: int, value: float, scope: ScopeMap) -> Change | None:
        """Score a value and look at the alarm, with the score in the scope."""
        plan, condition = self.plan, self.condition
        score = self.method.take(time_ms, value)
        if score is None:
            scope[SCORE] = UNKNOWN
            self.due_ms = self.find_due()
            return None
        scope[SCORE], when = self.anomaly.judge(score)
        change = None
        if when is not False or condition.phase is not Phase.IDLE or not plan.is_lazy:
            levels = [level(scope) for level in plan.levels] if plan.levels else ()
            change = condition.evaluate(time_ms, when, UNKNOWN, levels)
            if condition.phase is not Phase.IDLE:
                self.results = {SCORE: scope[SCORE]}
        self.due_ms = self.find_due()
        return change
