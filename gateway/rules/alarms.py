"""From a change of a condition to what people and programs read: ids, messages, reasons, topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.rules.conditions import Change
from gateway.rules.outputs import Cause, Output, Publication, SideEvent, Transition
from gateway.rules.plans import RulePlan
from gateway.rules.reasons import spell_duration
from gateway.rules.spec import PayloadTemplate, PublishSpec, Scope

RULE_ERROR = "gateway/rule-error"


class Outbox:
    """Gathers what the rules give out, each with the record that is being read as its cause."""

    __slots__ = (
        "clock_ms",
        "commit_no",
        "offset",
        "ordinals",
        "outputs",
        "partition",
        "refused_publications",
        "stream",
    )

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.commit_no = 0
        self.stream = ""
        self.partition = 0
        self.offset = 0
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
        """Give out a transition, and the messages that the rule publishes at it."""
        spec = plan.spec
        alarm = spec.alarm
        template = alarm.message if alarm is not None else None
        names = {**scope, "rule": spec.id, "severity": change.severity, "event": change.event}
        message = template.render(names) if template is not None else spec.title or spec.id
        transition = self._transition(
            (spec.id, key), change, (message, reason_of(plan, change, scope))
        )
        if alarm is not None:
            transition = with_labels(transition, alarm.labels)
        self.outputs.append(transition)
        names |= {"message": message, "id": transition.id}
        for publish in spec.publish:
            if change.event in publish.on:
                self._publish(publish, transition, names)

    def put_aside(self, plan: RulePlan, topic: str, device: str, payload: bytes) -> None:
        """Give out an event that the rule doesn't take in."""
        self.outputs.append(SideEvent(self.cause(), plan.spec.id, topic, device, payload))

    def report_error(self, plan: RulePlan, error: Exception) -> None:
        """Raise the alarm that a rule has failed inside the engine and was stopped."""
        spec = plan.spec
        change = Change("raised", self.clock_ms, self.clock_ms, "major", 1, "when")
        message = f"rule {spec.id} was stopped: {type(error).__name__}: {error}"
        where = f"{spec.path}:{spec.line}" if spec.path else spec.id
        reason = f"an error inside the engine; the rule is at {where}"
        self.outputs.append(self._transition((RULE_ERROR, spec.id), change, (message, reason)))

    def _transition(
        self, identity: tuple[str, str], change: Change, texts: tuple[str, str]
    ) -> Transition:
        rule, key = identity
        cause = self.cause()
        ordinal = self._next_ordinal(cause, identity)
        return Transition(
            id=f"{rule}:{key}@{cause.stream}:{cause.partition}:{cause.offset}:{ordinal}",
            cause=cause,
            rule=rule,
            key=key,
            event=change.event,
            n=change.n,
            severity=change.severity,
            time_ms=change.time_ms,
            since_ms=change.since_ms,
            detected_ms=self.clock_ms,
            message=texts[0],
            reason=texts[1],
            labels={},
        )

    def _next_ordinal(self, cause: Cause, identity: tuple[str, str]) -> int:
        known_cause, ordinals = self.ordinals
        if known_cause != cause:
            ordinals = {}
            self.ordinals = (cause, ordinals)
        ordinal = ordinals.get(identity, 0)
        ordinals[identity] = ordinal + 1
        return ordinal

    def _publish(self, publish: PublishSpec, transition: Transition, scope: Scope) -> None:
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


def with_labels(transition: Transition, labels: Mapping[str, str]) -> Transition:
    """The same transition with a rule's own labels."""
    if not labels:
        return transition
    fields = {name: getattr(transition, name) for name in Transition.__slots__}
    return Transition(**{**fields, "labels": labels})


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
