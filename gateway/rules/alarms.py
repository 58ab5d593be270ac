"""From a change of a condition to what people and programs read: ids, messages, reasons, topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from gateway.rules.conditions import Change
from gateway.rules.outputs import (
    AlarmEvent,
    Cause,
    Derived,
    MatchNotice,
    Output,
    Publication,
    SideEvent,
    Transition,
)
from gateway.rules.patterns.matches import Match
from gateway.rules.plans import RulePlan
from gateway.rules.reasons import spell_duration
from gateway.rules.spec import AlarmSpec, PayloadTemplate, PublishSpec, RuleSpec, Scope

if TYPE_CHECKING:
    from gateway.rules.desk import Desk
    from gateway.rules.standing import Alarm

RULE_ERROR = "gateway/rule-error"
FLOOD = "gateway/alarm-flood"
RULES_INVALID = "gateway/rules-invalid"
LOOKUP_INVALID = "gateway/lookup-invalid"
MOMENTS: Final[Mapping[AlarmEvent, str]] = {
    "raised": "raised",
    "reminded": "raised",
    "changed": "changed",
    "cleared": "cleared",
    "acked": "acked",
}
"""Which moment of `publish.on` a step is; the others publish nothing."""


class Notice(NamedTuple):
    """What there is to tell of a change of a condition."""

    message: str
    reason: str
    names: Scope


class Told(NamedTuple):
    """When and why something happened to an alarm, and what keeps it from being published."""

    time_ms: int
    reason: str
    quiet: str = ""


class Outbox:
    """Gathers what the rules give out, each with the record that is being read as its cause."""

    __slots__ = (
        "client",
        "clock_ms",
        "commit_no",
        "desk",
        "offset",
        "ordinals",
        "outputs",
        "partition",
        "refused_publications",
        "stream",
    )

    desk: Desk

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.commit_no = 0
        self.stream = ""
        self.partition = 0
        self.offset = 0
        self.client = ""
        """Who published the record that is being read."""
        self.clock_ms = 0
        """The latest arrival time that was seen: the engine's only clock."""
        self.ordinals: tuple[Cause | None, dict[tuple[str, str], int]] = (None, {})
        self.refused_publications = 0

    def take(self) -> list[Output]:
        """Everything since the last call, in order."""
        outputs, self.outputs = self.outputs, []
        return outputs

    def cause(self) -> Cause:
        return Cause(self.commit_no, self.stream, self.partition, self.offset)

    def announce(self, plan: RulePlan, key: str, change: Change, scope: Scope) -> None:
        """Tell the desk of a change; it decides what is given out of it, and published."""
        spec = plan.spec
        if plan.emission is not None and change.event == "raised" and spec.sequence is None:
            self.emit_match(plan, key, change.time_ms, scope)
        if spec.alarm is None and spec.emit is not None:
            return
        template = spec.alarm.message if spec.alarm is not None else None
        names = {**scope, "rule": spec.id, "severity": change.severity, "event": change.event}
        for hours in plan.hours:
            names[hours.name] = hours.is_open(change.time_ms)
        message = template.render(names) if template is not None else spec.title or spec.id
        self.desk.take(spec.id, key, change, Notice(message, reason_of(plan, change, scope), names))

    def tell(self, spec: RuleSpec, key: str, alarm: Alarm, event: AlarmEvent, told: Told) -> None:
        """Give out a step in the life of an alarm, and what the rule publishes at it."""
        transition = Transition(
            id=self._next_id(spec.id, key),
            cause=self.cause(),
            rule=spec.id,
            key=key,
            event=event,
            n=alarm.n,
            severity=alarm.severity,
            time_ms=told.time_ms,
            since_ms=alarm.since_ms,
            detected_ms=self.clock_ms,
            message=alarm.message,
            reason=told.reason,
            labels=spec.alarm.labels if spec.alarm is not None else {},
            state=alarm.state,
            shelved_until_ms=alarm.shelved_until_ms or None,
            suppressed=told.quiet,
            rule_hash=spec.source_hash,
        )
        self.outputs.append(transition)
        moment = MOMENTS.get(event)
        if moment is None or told.quiet:
            return
        names = {
            **alarm.names,
            "rule": spec.id,
            "severity": alarm.severity,
            "event": event,
            "message": alarm.message,
            "id": transition.id,
        }
        for publish in spec.publish:
            if moment in publish.on:
                self._publish(publish, transition, names)

    def announce_match(self, plan: RulePlan, key: str, match: Match, scope: Scope) -> None:
        """Publish what the rule says at a match, or at one that ran out of time.

        `scope` knows the steps. An alarm that the match raises is announced apart.
        """
        spec = plan.spec
        self.emit_match(plan, key, match.time_ms, scope)
        wanted = [publish for publish in spec.publish if match.event in publish.on]
        if not wanted:
            return
        alarm = spec.alarm or AlarmSpec()
        names = {**scope, "rule": spec.id, "severity": alarm.severity, "event": match.event}
        message = alarm.message.render(names) if alarm.message is not None else ""
        notice = MatchNotice(
            id=self._next_id(spec.id, key),
            cause=self.cause(),
            rule=spec.id,
            key=key,
            event=match.event,
            time_ms=match.time_ms,
            since_ms=match.since_ms,
            detected_ms=self.clock_ms,
            message=message or spec.title or spec.id,
        )
        names |= {"message": notice.message, "id": notice.id}
        for publish in wanted:
            self._publish(publish, notice, names)

    def emit_match(self, plan: RulePlan, key: str, time_ms: int, scope: Scope) -> None:
        """Give out the derived record of a match, where the rule emits at matches."""
        if plan.emission is not None and plan.emission.moment == "match":
            self.emit(plan, key, time_ms, scope)

    def emit(self, plan: RulePlan, key: str, time_ms: int, scope: Scope) -> None:
        """Give out a derived record, if there is anything to say in it.

        Where the rule ranks them, it waits until the best of its moment are known.
        """
        record = plan.emission.record(time_ms, scope) if plan.emission is not None else None
        if record is None:
            return
        if plan.ranking is None:
            self._emit_record(plan, key, time_ms, record)
        elif not plan.ranking.enter(time_ms, key, scope, record):
            plan.counters.late += 1

    def emit_best(self, plan: RulePlan, until_ms: int) -> None:
        """Give out the best of each moment that is over."""
        if plan.ranking is not None:
            for time_ms, key, record in plan.ranking.close(until_ms):
                self._emit_record(plan, key, time_ms, record)

    def _emit_record(
        self, plan: RulePlan, key: str, time_ms: int, record: Mapping[str, Any]
    ) -> None:
        if plan.emission is None:
            return
        self.outputs.append(
            Derived(
                id=self._next_id(plan.spec.id, key),
                cause=self.cause(),
                rule=plan.spec.id,
                key=key,
                stream=plan.emission.stream,
                time_ms=time_ms,
                detected_ms=self.clock_ms,
                payload=orjson.dumps(record),
            )
        )

    def put_aside(self, plan: RulePlan, topic: str, device: str, payload: bytes) -> None:
        """Give out an event that the rule doesn't take in."""
        self.outputs.append(SideEvent(self.cause(), plan.spec.id, topic, device, payload))

    def report_error(self, plan: RulePlan, error: Exception, what: str) -> None:
        """Raise the alarm that a rule has failed inside the engine and was stopped."""
        self.desk.report_error(plan.spec, error, what)

    def _next_id(self, rule: str, key: str) -> str:
        """An id that is the same whenever the same records are evaluated by the same rule."""
        cause = self.cause()
        ordinal = self._next_ordinal(cause, (rule, key))
        return f"{rule}:{key}@{cause.stream}:{cause.partition}:{cause.offset}:{ordinal}"

    def _next_ordinal(self, cause: Cause, identity: tuple[str, str]) -> int:
        known_cause, ordinals = self.ordinals
        if known_cause != cause:
            ordinals = {}
            self.ordinals = (cause, ordinals)
        ordinal = ordinals.get(identity, 0)
        ordinals[identity] = ordinal + 1
        return ordinal

    def _publish(
        self, publish: PublishSpec, transition: Transition | MatchNotice, scope: Scope
    ) -> None:
        topic = publish.topic.render_topic(scope)
        if topic is None:
            self.refused_publications += 1
            return
        payload = (
            transition.encode()
            if publish.payload is None
            else orjson.dumps(fill(publish.payload, scope))
        )
        self.outputs.append(
            Publication(
                transition.id, transition.cause, topic, payload, publish.qos, publish.retain
            )
        )


def fill(payload: PayloadTemplate, scope: Scope) -> Any:
    """The payload with its placeholders filled, as plain values."""
    if payload is None:
        return None
    if isinstance(payload, tuple):
        return [fill(item, scope) for item in payload]
    if isinstance(payload, Mapping):
        return {name: fill(item, scope) for name, item in payload.items()}
    return payload.value(scope)


def reason_of(plan: RulePlan, change: Change, scope: Scope) -> str:
    """Why the condition changed, in the rule's own words."""
    condition = plan.condition
    match change.cause:
        case "when":
            return plan.when_reason.tell(scope, condition.for_ms)
        case "opening":
            return f"active again: {plan.when_reason.tell(scope)}"
        case "clear":
            return plan.clear_reason.tell(scope, condition.clear_for_ms)
        case "auto_clear":
            return f"not true for {spell_duration(condition.auto_clear_ms or 0)}"
        case "levels":
            return f"severity is now {change.severity}: {plan.when_reason.tell(scope)}"
        case "max_keys":
            return f"the key was forgotten: the rule keeps {plan.spec.state.max_keys} keys"
