"""One rule of a file, its defaults filled in, as a `RuleSpec`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.documents import Section
from gateway.rules.device_facts import FACT_NAMES, facts_read
from gateway.rules.expression.checker import EVENT_NAMES, Environment
from gateway.rules.expression.compiled import CompiledExpression, compile_expression
from gateway.rules.reading.actions import (
    ALARM_MOMENTS,
    check_emission,
    read_alarm,
    read_emit,
    read_publish,
    read_suppress,
)
from gateway.rules.reading.anatomy import expressions_of
from gateway.rules.reading.detectors import (
    DETECTORS,
    check_absence,
    read_absent,
    read_anomaly,
    read_condition,
    read_on_unknown,
    read_sequence,
)
from gateway.rules.reading.frames import (
    read_aggregates,
    read_dedupe,
    read_enrich,
    read_join,
    read_let,
    read_state,
    read_time,
    read_window,
)
from gateway.rules.reading.reader import Reader
from gateway.rules.spec import (
    AlarmSpec,
    LetSpec,
    Lookup,
    OnUnknown,
    RuleSpec,
    Schedule,
    Source,
    StatefulCall,
    StateSpec,
    SuppressSpec,
    TimeSpec,
    Zone,
)
from gateway.rules.values import Kind

ARRIVING: Final[Mapping[str, Kind]] = {
    name: EVENT_NAMES[name] for name in ("payload", "topic", "device", "arrival")
}
TITLE_CHARS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class References:
    """What every rule of the set may refer to by name."""

    lookups: dict[str, Lookup] = field(default_factory=dict)
    zones: dict[str, Zone] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a file's `defaults` block says for each of its rules."""

    sources: tuple[Source, ...] = ()
    key: tuple[CompiledExpression, ...] | None = None
    time: TimeSpec = field(default_factory=TimeSpec)
    state: StateSpec = field(default_factory=StateSpec)
    suppress: SuppressSpec = field(default_factory=SuppressSpec)
    on_unknown: OnUnknown = "hold"


def _short(rule: Section, key: str) -> str:
    text = rule.text(key)
    if len(text) > TITLE_CHARS_MAX:
        rule.complain(f"'{key}' has at most {TITLE_CHARS_MAX} characters", key)
    return text


def _chosen(reader: Reader, rule: Section, key: str, options: tuple[str, str]) -> str:
    """One of the options, of which the first is the default and every engine's."""
    found = rule.choice(key, options, options[0])
    if found != options[0]:
        reader.uses(f"{key}.{found}", rule, key)
    return found


class Environments:
    """What expressions may read, from the moment an event arrives until a rule has matched."""

    def __init__(self, references: References) -> None:
        zones = references.zones
        schedules: dict[str, Kind] = dict.fromkeys(references.schedules, "bool")
        self.arriving = Environment(ARRIVING, zones, remembering=None)
        self.timed = self.arriving.with_names({"ts": "number"})
        self.keyed = self.timed.with_names({"key": "any", **schedules})
        self.gate = Environment(
            {"ts": "number", "arrival": "number", **schedules}, zones, remembering=None
        )


def read_defaults(reader: Reader, document: Section, references: References) -> Defaults:
    """The `defaults` block."""
    section = document.section("defaults")
    if section is None:
        return Defaults()
    environments = Environments(references)
    found = Defaults(
        reader.sources(section, "from") or (),
        reader.expressions(section, "key", environments.timed),
        read_time(reader, section.section("time"), TimeSpec(), environments.arriving),
        read_state(reader, section.section("state"), StateSpec()),
        read_suppress(reader, section.section("suppress"), SuppressSpec(), environments.keyed),
        read_on_unknown(reader, section, "hold"),
    )
    section.finish()
    return found


class RuleReader:
    """Reads the rules of one file."""

    def __init__(self, reader: Reader, references: References, defaults: Defaults) -> None:
        self.reader = reader
        self.references = references
        self.defaults = defaults
        self.environments = Environments(references)
        self._device = compile_expression("device", self.environments.arriving)
        self._derived_time = compile_expression("payload.ts", self.environments.arriving)

    def read(self, rule: Section) -> RuleSpec:
        """One rule; what is wrong with it is noted, and the result then not to be run."""
        rule.require("id")
        rule_id = self.reader.identifier(rule, "id")
        spec = RuleSpec(
            id=rule_id,
            sources=self._sources(rule),
            key=self._key(rule),
            title=_short(rule, "title"),
            description=rule.text("description"),
            tags=tuple(rule.texts("tags")),
            enabled=rule.boolean("enabled", default=True),
            active=self._gated(rule, "active", "active"),
            at_opening=_chosen(self.reader, rule, "at_opening", ("raise", "ignore")),  # type: ignore[arg-type] # those two
            arm=_chosen(self.reader, rule, "arm", ("level", "crossing")),  # type: ignore[arg-type] # those two
            state=read_state(self.reader, rule.section("state"), self.defaults.state),
            path=self.reader.path,
            line=rule.node.line,
        )
        spec = self._with_body(rule, spec)
        rule.finish()
        self._check_shape(rule, spec)
        spec = self._with_facts(spec)
        return replace(spec, prelude=prelude_of(spec))

    def _sources(self, rule: Section) -> tuple[Source, ...]:
        found = self.reader.sources(rule, "from")
        if found is None and not self.defaults.sources:
            rule.complain("missing key 'from': where do the events come from?")
        return self.defaults.sources if found is None else found

    def _key(self, rule: Section) -> tuple[CompiledExpression, ...]:
        found = self.reader.expressions(rule, "key", self.environments.timed)
        if found is not None:
            return found
        return (self._device,) if self.defaults.key is None else self.defaults.key

    def _time_base(self, spec: RuleSpec) -> TimeSpec:
        """The defaults; derived records carry their time, and come when their windows are over."""
        base = self.defaults.time
        if not spec.sources or any(source.kind == "topic" for source in spec.sources):
            return base
        return replace(base, by="event", field=self._derived_time, late_ms=None, early_ms=None)

    def _gated(self, rule: Section, key: str, feature: str) -> CompiledExpression | None:
        self.reader.uses_written(rule, {key: feature})
        return self.reader.expression(rule, key, self.environments.gate, "bool")

    def _with_body(self, rule: Section, spec: RuleSpec) -> RuleSpec:
        """The parts whose expressions see more and more names, in the order in which they run."""
        reader, environments = self.reader, self.environments
        time = read_time(reader, rule.section("time"), self._time_base(spec), environments.arriving)
        enrich = read_enrich(reader, rule, environments.keyed, self.references.lookups)
        looked_up = (*FACT_NAMES, *(row.name for row in enrich))
        found = environments.keyed.with_names(dict.fromkeys(looked_up, "any"))
        where = reader.expression(rule, "where", found, "bool")
        dedupe = read_dedupe(reader, rule, found)
        join, found = read_join(reader, rule, found)
        found = found.with_names({"prev": "any"}).remembering_all()
        let, events = read_let(reader, rule, found)
        aggregates, kinds = read_aggregates(reader, rule, events)
        spec = replace(
            spec,
            time=time,
            enrich=enrich,
            where=where,
            dedupe=dedupe,
            join=join,
            let=let,
            window=read_window(reader, rule),
            aggregates=aggregates,
        )
        return self._with_detector(rule, spec, events.with_names(kinds))

    def _with_detector(self, rule: Section, spec: RuleSpec, found: Environment) -> RuleSpec:
        reader = self.reader
        condition = read_condition(reader, rule, found, self.defaults.on_unknown)
        sequence, matched = read_sequence(reader, rule, found)
        if "anomaly" in rule:
            matched = matched.with_names({"score": "number"})
        anomaly = read_anomaly(reader, rule, found)
        suppress = read_suppress(reader, rule.section("suppress"), self.defaults.suppress, matched)
        alarm = read_alarm(reader, rule, matched)
        if alarm is None and (condition or sequence or anomaly or "absent" in rule):
            alarm = None if "emit" in rule else AlarmSpec()
        publish = read_publish(reader, rule, matched)
        if alarm is None and any(one.on & ALARM_MOMENTS for one in publish):
            alarm = AlarmSpec()
        return replace(
            spec,
            condition=condition,
            sequence=sequence,
            absent=read_absent(reader, rule, self.references.lookups),
            anomaly=anomaly,
            alarm=alarm,
            emit=read_emit(reader, rule, matched),
            publish=publish,
            suppress=suppress,
        )

    def _with_facts(self, spec: RuleSpec) -> RuleSpec:
        """The rule with the look-ups of what it reads of devices; its own names hide them."""
        own = {row.name for row in spec.enrich}
        names = frozenset(name for part in expressions_of(spec) for name in part.names) - own
        return replace(spec, enrich=(*spec.enrich, *facts_read(names, self._device)))

    def _check_shape(self, rule: Section, spec: RuleSpec) -> None:
        """The parts that need, or exclude, each other."""
        detectors = [name for name in DETECTORS if name in rule]
        if len(detectors) > 1:
            rule.complain(
                f"'{detectors[0]}' and '{detectors[1]}' in one rule; write two rules",
                detectors[1],
                at_key=True,
            )
        if "aggregate" in rule and "window" not in rule:
            rule.complain(
                "'aggregate' needs a 'window', such as {sliding: 5m}", "aggregate", at_key=True
            )
        if "window" in rule and "aggregate" not in rule:
            rule.complain(
                "'window' needs an 'aggregate', such as {average: avg(payload.value)}",
                "window",
                at_key=True,
            )
        if not detectors and "emit" not in rule:
            rule.complain("the rule does nothing; it needs 'when', another detector, or 'emit'")
        for key in ("alarm", "publish"):
            if not detectors and key in rule:
                rule.complain(f"'{key}' needs a 'when' or another detector", key, at_key=True)
        self._check_window_of(rule, spec)
        check_emission(rule, spec)
        check_absence(rule, spec)

    def _check_window_of(self, rule: Section, spec: RuleSpec) -> None:
        if "window" in rule and any(name in rule for name in ("sequence", "absent", "anomaly")):
            rule.complain(
                "a window goes with 'when' or 'emit', not with another detector",
                "window",
                at_key=True,
            )
        is_corrected = spec.window is not None and spec.window.allowed_lateness_ms
        if is_corrected and spec.join is not None:
            rule.complain("'allowed_lateness' and 'join' in one rule; write two rules", "window")
        if is_corrected and spec.time.late_policy == "adjust":
            rule.complain(
                "'late_policy: adjust' leaves nothing for 'allowed_lateness' to correct",
                "window",
                at_key=True,
            )
        if spec.condition is None and (spec.arm != "level"):
            rule.complain("'arm' needs a 'when'", "arm", at_key=True)


def prelude_of(spec: RuleSpec) -> tuple[LetSpec | StatefulCall, ...]:
    """The lets and stateful calls of a rule, each once, each after those that it reads."""
    found: dict[str, LetSpec | StatefulCall] = {}
    for let in spec.let:
        _add_calls(found, let.expression.stateful)
        found[let.name] = let
    for part in expressions_of(replace(spec, let=())):
        _add_calls(found, part.stateful)
    return tuple(found.values())


def _add_calls(found: dict[str, LetSpec | StatefulCall], calls: Iterable[StatefulCall]) -> None:
    for call in calls:
        found.setdefault(call.slot, call)
