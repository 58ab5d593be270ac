"""What a rule file says, as plain values: the loader builds them, the engine runs them.

Times are milliseconds. A field that is None was not written, and means what its comment says.
Names that expressions may read: `payload topic device key ts arrival prev score`, the rule's own
`let`, `aggregate`, `enrich`, `join` and step ids, and those of schedules (true while open).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.rules.derived_topics import derived_filter
from gateway.rules.values import Kind, Value

Scope = Mapping[str, object]


class Expression(Protocol):
    """A compiled expression. Two expressions of equal `text` in one rule set mean the same."""

    @property
    def text(self) -> str:
        """The expression as it is written."""

    @property
    def names(self) -> frozenset[str]:
        """The names that it reads from the scope, the slots of its stateful calls included."""

    @property
    def kind(self) -> Kind:
        """The type of its value, where that can be told before it runs; else `any`."""

    @property
    def stateful(self) -> tuple[StatefulCall, ...]:
        """Its calls of `changed` and `since`, innermost first; see `StatefulCall`."""

    @property
    def evaluate(self) -> Callable[[Scope], Value]:
        """Compute it over `scope` (name → value); UNKNOWN where it can't be known; never raises.

        A name that the scope lacks is unknown. Maps in the scope are `dict`, lists are `list`, and
        neither holds UNKNOWN: leave such a key out. A plain function is returned, so keep it in a
        local.
        """


class StatefulCall(Protocol):
    """A call that remembers, `changed(x)` or `since(condition)`; it reads events, no aggregates.

    The engine keeps one `memory` per key and slot (None at first; plain JSON values, so it can be
    stored). For each event that passes `where`, in the order of `RuleSpec.prelude`, it does
    ``memory, scope[call.slot] = call.advance(memory, scope)``.
    """

    @property
    def slot(self) -> str:
        """The name under which expressions read the value: its text, as in `changed(payload.x)`."""

    @property
    def names(self) -> frozenset[str]:
        """The names that it reads."""

    def advance(self, memory: Value, scope: Scope) -> tuple[Value, Value]:
        """Take in one event, whose `ts` is in the scope; returns the new memory and the value.

        `changed(x)`: whether x differs from its last known value; unknown at the first.
        `since(condition)`: seconds of event time since the condition was last true; unknown before
        that.
        """


class Template(Protocol):
    """Text with placeholders: `{expr}` or `{expr:.1f}`; `{{` and `}}` are braces."""

    @property
    def text(self) -> str:
        """The template as it is written."""

    @property
    def names(self) -> frozenset[str]:
        """The names that its placeholders read."""

    @property
    def stateful(self) -> tuple[StatefulCall, ...]:
        """The stateful calls in its placeholders, innermost first."""

    def render(self, scope: Scope) -> str:
        """The text with its placeholders filled; what is unknown shows as `?`; never raises."""

    def render_topic(self, scope: Scope) -> str | None:
        """The text as a topic name, or None if a placeholder is unknown or no topic comes of it.

        What a topic name can't carry (wildcards, control characters) becomes `_`.
        """

    def value(self, scope: Scope) -> Value:
        """The bare value of a template that is one placeholder without a format; else its text.

        None when that value is unknown, so that it can go into JSON.
        """


Severity = Literal["info", "warning", "minor", "major", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "minor", "major", "critical")
PayloadTemplate = Template | Mapping[str, "PayloadTemplate"] | tuple["PayloadTemplate", ...] | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule's events come from: an MQTT topic filter, or what another rule emits.

    `stream` is the one that the other rule emits.
    """

    kind: Literal["topic", "rule"]
    name: str
    stream: str = ""

    @property
    def topic_filter(self) -> str:
        """What the topics of its records match."""
        return self.name if self.kind == "topic" else derived_filter(self.stream)


@dataclass(frozen=True, slots=True)
class TimeSpec:
    """Which time a rule runs on, and what becomes of events that are out of it (T1 to T6)."""

    by: Literal["event", "arrival"] = "arrival"
    field: Expression | None = None  # epoch milliseconds, or ISO 8601 text; None with `by: arrival`
    out_of_order_ms: int = 0
    late_ms: int | None = None  # None: nothing is late, so that old events can be replayed
    early_ms: int | None = None  # None: nothing is early
    late_policy: Literal["drop", "adjust", "side"] = "side"
    idle_ms: int | None = None  # None: the watermark waits for events
    watermark: Literal["key", "partition"] = "key"


@dataclass(frozen=True, slots=True)
class StateSpec:
    """How much a rule may remember."""

    ttl_ms: int = 7 * 86_400_000
    max_keys: int = 10_000
    max_partials: int = 64
    max_samples: int = 10_000  # in one window of one key; a count window has its own bound
    max_samples_total: int = 2_000_000  # in the windows of all keys together


@dataclass(frozen=True, slots=True)
class EnrichSpec:
    """`name: "lookup[expression]"`: the lookup's row for that key as a mapping."""

    name: str
    lookup: str
    key: Expression


@dataclass(frozen=True, slots=True)
class LetSpec:
    """A named expression; it may read the `let` names before it."""

    name: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class DedupeSpec:
    """Events whose `by` values were seen within `within_ms` are dropped before any window (W13)."""

    by: tuple[Expression, ...]
    within_ms: int


@dataclass(frozen=True, slots=True)
class JoinSpec:
    """The latest or matching events of other sources, as names of their own (S2)."""

    sources: Mapping[str, Source]
    within_ms: int
    on: Expression | None = None
    type: Literal["inner", "left", "latest"] = "inner"


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """The events an aggregate sees: sliding `(t - size, t]`, the others `[start, end)` (W1 to W5).

    `size_ms` is the gap of a session, which `max_ms` cuts. A count window holds the last `count`
    events and gives a result after every `every_count` of them.
    """

    kind: Literal["sliding", "tumbling", "hopping", "session", "count"]
    size_ms: int = 0
    every_ms: int = 0  # hopping only; a tumbling window's is its size
    max_ms: int = 0  # session only
    count: int = 0
    every_count: int = 1
    offset_ms: int = 0
    timezone: str | None = None  # tumbling windows of whole days start at midnight there
    min_samples: int = 1
    allowed_lateness_ms: int = 0


@dataclass(frozen=True, slots=True)
class AggregateSpec:
    """`name: function(arguments)` over the window; below `min_samples` its value is unknown.

    `value` is the first argument, None for `count()`; for `topk(by, value, n)` it is the list of
    the first two, and `by` the first. `parameter` is what is left: percentile's rank, ewma's tau in
    milliseconds, the n of list and topk. `is_sketch` allows an approximation, because the rule says
    so.
    """

    name: str
    function: str
    value: Expression | None = None
    by: Expression | None = None
    parameter: float | None = None
    is_sketch: bool = False

    @property
    def signature(self) -> tuple[str, str, str, float | None, bool]:
        """Equal for aggregates of one window that can share their state."""
        texts = [expression.text if expression else "" for expression in (self.value, self.by)]
        return (self.function, texts[0], texts[1], self.parameter, self.is_sketch)


OnUnknown = Literal["hold", "reset", "false"]


@dataclass(frozen=True, slots=True)
class ConditionSpec:
    """The life of a condition (RULES §3.3)."""

    when: Expression
    for_ms: int = 0
    max_gap_ms: int | None = None  # None: as long as `for_ms`
    clear: Expression | None = None  # None: when `when` is false
    clear_for_ms: int = 0
    repeat_times: int = 1
    repeat_within_ms: int = 0
    on_unknown: OnUnknown = "hold"


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step of a sequence; exactly one of `when`, `absent` and `all_of` is given.

    `absent` is the step written with `not`. Its `within_ms` counts from the step before it; as the
    first step it means that nothing of the kind came for that long.
    """

    id: str
    when: Expression | None = None
    absent: Expression | None = None
    all_of: tuple[StepSpec, ...] = ()
    source: Source | None = None
    contiguity: Literal["strict", "relaxed", "any"] = "relaxed"
    times_min: int = 1
    times_max: int | None = 1  # None: without end
    is_optional: bool = False
    until: Expression | None = None
    within_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SequenceSpec:
    """Steps that must follow each other within a span of event time (P1 to P11)."""

    steps: tuple[StepSpec, ...]
    within_ms: int | None = None
    skip: Literal["none", "to_next", "past_last"] = "past_last"
    on_timeout: Literal["ignore", "emit"] = "ignore"


@dataclass(frozen=True, slots=True)
class AbsentSpec:
    """A key that has been silent for `for_ms` (P5).

    `expect_lookup` names the inventory of keys to expect.
    """

    for_ms: int
    expect_lookup: str | None = None
    clock: Literal["arrival", "event"] = "arrival"
    startup_grace_ms: int = 0


@dataclass(frozen=True, slots=True)
class AnomalySpec:
    """A value that behaves unlike its own history; its score is the name `score` (S7)."""

    value: Expression
    method: str
    history: int = 1_000
    sensitivity: float = 3.0
    warmup: int = 100
    resample_ms: int | None = None
    direction: Literal["both", "up", "down"] = "both"


@dataclass(frozen=True, slots=True)
class LevelSpec:
    """A severity that holds while `when` has been true for `for_ms`.

    The highest true one counts.
    """

    severity: Severity
    when: Expression
    for_ms: int = 0


@dataclass(frozen=True, slots=True)
class AlarmSpec:
    """The alarm that a match raises; with `levels`, `severity` is the one when no level holds."""

    severity: Severity = "warning"
    levels: tuple[LevelSpec, ...] = ()
    message: Template | None = None
    auto_clear_ms: int | None = None
    latch: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    active_max: int = 1_000  # beyond it one summary alarm stands for the rest (L12)


@dataclass(frozen=True, slots=True)
class RankSpec:
    """Keep the `take` best of what would be emitted, per `per`."""

    by: Expression
    take: int
    order: Literal["desc", "asc"] = "desc"
    per: Expression | None = None


@dataclass(frozen=True, slots=True)
class EmitSpec:
    """A derived stream; without `fields` it carries the rule's aggregates and lets."""

    stream: str
    fields: Mapping[str, Expression] = field(default_factory=dict)
    on: Literal["match", "window", "event"] = "match"
    rank: RankSpec | None = None


@dataclass(frozen=True, slots=True)
class PublishSpec:
    """An MQTT message at some moments of an alarm's life.

    Its templates also know the names `rule severity event message id`. `payload` None publishes
    the alert itself as JSON.
    """

    topic: Template
    payload: PayloadTemplate = None
    qos: int = 0
    retain: bool = False
    on: frozenset[str] = frozenset({"raised", "cleared"})


@dataclass(frozen=True, slots=True)
class SuppressSpec:
    """Which notifications stay inside the log (L11)."""

    cooldown_ms: int = 0
    by: tuple[Expression, ...] = ()
    limit_count: int | None = None  # with `limit_window_ms`; None: no limit
    limit_window_ms: int = 0
    remind_ms: int | None = None
    while_active: tuple[str, ...] = ()
    group_ms: int = 0


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """One rule with its defaults filled in; at most one of the four detectors is given.

    A rule without a detector only emits. Each expression may read what is known when it runs: an
    event first gets its time, then its key, its `enrich` rows, and passes `where`; then come the
    joined events, then the `prelude` (the lets and stateful calls in the order in which they need
    each other), the window, and the detector and outputs, which may read everything. `source_hash`
    changes when, and only when, the rule means something else.
    """

    id: str
    sources: tuple[Source, ...]
    key: tuple[Expression, ...]  # () is one state for all events
    title: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    enabled: bool = True
    where: Expression | None = None
    active: Expression | None = None
    at_opening: Literal["raise", "ignore"] = "raise"  # a condition that is true when `active` opens
    arm: Literal["level", "crossing"] = "level"
    time: TimeSpec = field(default_factory=TimeSpec)
    state: StateSpec = field(default_factory=StateSpec)
    dedupe: DedupeSpec | None = None
    enrich: tuple[EnrichSpec, ...] = ()
    let: tuple[LetSpec, ...] = ()
    join: JoinSpec | None = None
    window: WindowSpec | None = None
    aggregates: tuple[AggregateSpec, ...] = ()
    condition: ConditionSpec | None = None
    sequence: SequenceSpec | None = None
    absent: AbsentSpec | None = None
    anomaly: AnomalySpec | None = None
    alarm: AlarmSpec | None = None
    emit: EmitSpec | None = None
    publish: tuple[PublishSpec, ...] = ()
    suppress: SuppressSpec = field(default_factory=SuppressSpec)
    prelude: tuple[LetSpec | StatefulCall, ...] = ()
    schedules: tuple[Schedule, ...] = ()  # those whose names it reads
    source_hash: str = ""
    path: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Lookup:
    """Reference rows from a CSV, JSON or SQLite file, found by the column `key`."""

    name: str
    file: str
    key: str
    reload_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hours of a week in a time zone; `from_minute` after `to_minute` runs over midnight."""

    name: str
    timezone: str
    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)  # Monday is 0
    from_minute: int = 0
    to_minute: int = 24 * 60


class Zone(Protocol):
    """A named place on the Earth."""

    @property
    def name(self) -> str: ...
    def holds(self, lat: float, lon: float) -> bool:
        """Whether the point lies inside; the border counts as inside."""
