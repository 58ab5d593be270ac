"""What the engine gives out: alarm transitions, messages to publish, and events that came too late.

How they reach the log is the pipeline's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import orjson

from gateway.rules.alarm_topics import alarm_topic
from gateway.rules.derived_topics import UNSAFE_IN_TOPIC, derived_topic
from gateway.rules.spec import Severity
from gateway.rules.watermarks import TIME_MS_MAX

ALERTS_STREAM = "alerts"
TICKS_STREAM = "ticks"
RULES_CLIENT = "$rules"
"""The client id of what rules publish; rules don't read it again, so that no loop can arise."""

SIDE_STREAM_PREFIX = "late-"


AlarmEvent = Literal[
    "raised", "changed", "cleared", "latched", "acked", "shelved", "unshelved", "reminded"
]
State = Literal["raised", "acked", "cleared-unacked", "shelved", "idle"]


class Cause(NamedTuple):
    """The record that made something happen; causes compare in the order in which they are read."""

    commit_no: int
    stream: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Transition:
    """A step in the life of an alarm; `since_ms` and `time_ms` are event times.

    The `id` is the same whenever the same records are evaluated by the same rule.
    """

    id: str
    cause: Cause
    rule: str
    key: str
    event: AlarmEvent
    n: int
    severity: Severity
    time_ms: int
    since_ms: int
    detected_ms: int
    message: str
    reason: str
    labels: Mapping[str, str]
    state: State = "idle"
    shelved_until_ms: int | None = None
    suppressed: str = ""
    """What kept it from being published; empty when nothing did."""
    rule_hash: str = ""
    """Which version of the rule said it."""

    @property
    def standing_topic(self) -> str:
        """The topic that holds how the alarm stands."""
        return alarm_topic(self.rule, self.key)

    @property
    def topic(self) -> str:
        return alert_topic(self.rule, self.key)

    def as_mapping(self) -> dict[str, object]:
        """The fields as they are published, in a fixed order."""
        return {
            "id": self.id,
            "rule": self.rule,
            "key": self.key,
            "event": self.event,
            "n": self.n,
            "severity": self.severity,
            "time": spell_time(self.time_ms),
            "since": spell_time(self.since_ms),
            "detected": spell_time(self.detected_ms),
            "message": self.message,
            "reason": self.reason,
            "labels": dict(self.labels),
            "stream": self.cause.stream,
            "partition": self.cause.partition,
            "offset": self.cause.offset,
            "state": self.state,
            "shelved_until": (
                None if self.shelved_until_ms is None else spell_time(self.shelved_until_ms)
            ),
            "suppressed": self.suppressed or None,
            "rule_hash": self.rule_hash,
        }

    def encode(self) -> bytes:
        """The transition as JSON, the same bytes each time."""
        return orjson.dumps(self.as_mapping())


@dataclass(frozen=True, slots=True)
class MatchNotice:
    """A sequence that was found, or ran out of time; what `publish` sends where it says no more."""

    id: str
    cause: Cause
    rule: str
    key: str
    event: Literal["match", "timeout"]
    time_ms: int
    since_ms: int
    detected_ms: int
    message: str

    def encode(self) -> bytes:
        """The notice as JSON, the same bytes each time."""
        return orjson.dumps(
            {
                "id": self.id,
                "rule": self.rule,
                "key": self.key,
                "event": self.event,
                "time": spell_time(self.time_ms),
                "since": spell_time(self.since_ms),
                "detected": spell_time(self.detected_ms),
                "message": self.message,
                "stream": self.cause.stream,
                "partition": self.cause.partition,
                "offset": self.cause.offset,
            }
        )


@dataclass(frozen=True, slots=True)
class Publication:
    """An MQTT message that a rule sends; its `id` is that of the transition behind it."""

    id: str
    cause: Cause
    topic: str
    payload: bytes
    qos: int
    retain: bool

    @property
    def rule(self) -> str:
        """The rule that sends it; the ids of rules have no colon."""
        return self.id.partition(":")[0]


@dataclass(frozen=True, slots=True)
class SideEvent:
    """An event that a rule did not take in, because it came too late or is from the future."""

    cause: Cause
    rule: str
    topic: str
    device: str
    payload: bytes

    @property
    def stream(self) -> str:
        return SIDE_STREAM_PREFIX + self.rule


@dataclass(frozen=True, slots=True)
class Derived:
    """A record of a derived stream; `time_ms` is its event time, `detected_ms` its arrival."""

    id: str
    cause: Cause
    rule: str
    key: str
    stream: str
    time_ms: int
    detected_ms: int
    payload: bytes

    @property
    def topic(self) -> str:
        return derived_topic(self.stream, self.key)

    @property
    def device(self) -> str:
        """What the record is about: the key of the rule, or the rule when all events are one."""
        return self.key or self.rule


Output = Transition | Publication | SideEvent | Derived


def alert_topic(rule: str, key: str) -> str:
    """The topic of an alarm's transitions; characters that no topic name may hold are escaped."""
    return f"alerts/{rule}/{key.translate(UNSAFE_IN_TOPIC)}" if key else f"alerts/{rule}"


def spell_time(time_ms: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC; what no calendar holds becomes its nearest edge."""
    seconds, ms = divmod(max(0, min(time_ms, TIME_MS_MAX)), 1_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"
