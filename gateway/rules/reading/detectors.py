"""The four detectors: a condition, a sequence of steps, an absence, an anomaly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.documents import Node, Section
from gateway.rules.expression.checker import Environment
from gateway.rules.features import ANOMALY_METHODS
from gateway.rules.reading.reader import NAME, Reader, optional_ms
from gateway.rules.spec import (
    AbsentSpec,
    AnomalySpec,
    ConditionSpec,
    Lookup,
    OnUnknown,
    RuleSpec,
    SequenceSpec,
    StepSpec,
)

DETECTORS: Final = ("when", "sequence", "absent", "anomaly")
CONDITION_KEYS: Final = ("for", "max_gap", "clear", "clear_for", "repeat", "on_unknown")
STEPS_MIN: Final = 2
STEPS_MAX: Final = 16
TIMES_MAX: Final = 1_000
HISTORY_MAX: Final = 100_000
REPEAT_MAX: Final = 1_000


def read_on_unknown(reader: Reader, section: Section, base: OnUnknown) -> OnUnknown:
    """The `on_unknown` key."""
    found = section.choice("on_unknown", ("hold", "reset", "false"), base)
    if found != "hold" and "on_unknown" in section:
        reader.uses(f"on_unknown.{found}", section, "on_unknown")
    return found  # type: ignore[return-value] # one of the three that `choice` allows


def read_condition(
    reader: Reader, rule: Section, environment: Environment, on_unknown: OnUnknown
) -> ConditionSpec | None:
    """The keys from `when` to `on_unknown`; they belong together, and to a `when`."""
    when = reader.expression(rule, "when", environment, "bool")
    clear = reader.expression(rule, "clear", environment, "bool")
    names = ("when", *CONDITION_KEYS[:-1])
    reader.uses_written(rule, {key: key for key in names})
    repeat = _repeat(rule)
    for_ms = rule.duration_ms("for")
    max_gap = optional_ms(rule, "max_gap", least=1)
    clear_for_ms = rule.duration_ms("clear_for")
    on_unknown = read_on_unknown(reader, rule, on_unknown)
    if when is None:
        for key in CONDITION_KEYS:
            if key in rule:
                rule.get(key)
                rule.complain(f"'{key}' needs a 'when'", key, at_key=True)
        return None
    return ConditionSpec(
        when,
        for_ms,
        max_gap,
        clear,
        clear_for_ms,
        *repeat,
        on_unknown,
    )


def _repeat(rule: Section) -> tuple[int, int]:
    section = rule.section("repeat")
    if section is None:
        return 1, 0
    section.require("times", "within")
    times = section.integer("times", 2, least=2, most=REPEAT_MAX)
    within_ms = section.duration_ms("within", 1, least=1)
    section.finish()
    return times, within_ms


def read_sequence(
    reader: Reader, rule: Section, environment: Environment
) -> tuple[SequenceSpec | None, Environment]:
    """The `sequence` block, and the environment with the names of its steps."""
    section = rule.section("sequence")
    if section is None:
        return None, environment
    reader.uses("sequence.steps", rule, "sequence")
    section.require("steps")
    sections = section.sections("steps")
    steps: list[StepSpec] = []
    for step_section in sections[:STEPS_MAX]:
        step, environment = _step(reader, step_section, environment, len(steps))
        steps.append(step)
    within_ms = optional_ms(section, "within", least=1)
    spec = SequenceSpec(
        tuple(steps),
        within_ms,
        _chosen(reader, section, "skip", ("past_last", "none", "to_next")),  # type: ignore[arg-type] # those
        _chosen(reader, section, "on_timeout", ("ignore", "emit")),  # type: ignore[arg-type] # those two
    )
    section.finish()
    _check_steps(section, sections, spec)
    return spec, environment


def _chosen(reader: Reader, section: Section, key: str, options: tuple[str, ...]) -> str:
    """One of the options, of which the first is the default and every engine's."""
    found = section.choice(key, options, options[0])
    if found != options[0]:
        reader.uses(f"sequence.{key}.{found}", section, key)
    return found


def _check_steps(section: Section, sections: list[Section], spec: SequenceSpec) -> None:
    is_enough = len(sections) >= STEPS_MIN or any(_takes_many(step) for step in spec.steps)
    if "steps" in section and not (is_enough and len(sections) <= STEPS_MAX):
        section.complain(
            f"a sequence has {STEPS_MIN} to {STEPS_MAX} steps, not {len(sections)}", "steps"
        )
    if not spec.steps:
        return
    for step_section, step in zip(sections, spec.steps, strict=False):
        if step.absent is None:
            continue
        is_edge = step in (spec.steps[0], spec.steps[-1])
        if is_edge and step.within_ms is None and spec.within_ms is None:
            step_section.complain("a 'not' at an end of the sequence needs 'within'", "not")
    if spec.within_ms is None and all(step.within_ms is None for step in spec.steps):
        section.complain("'sequence' needs 'within'; without it a match could be awaited for ever")
    if all(step.absent is not None for step in spec.steps):
        section.complain("'sequence' has only 'not' steps; write 'absent' instead")

    _check_ends(section, spec.steps)


def _takes_many(step: StepSpec) -> bool:
    """Whether the step alone is a sequence."""
    return bool(step.all_of) or step.times_max is None or step.times_max >= STEPS_MIN


def _check_ends(section: Section, steps: Sequence[StepSpec]) -> None:
    """Whether it is clear where a match begins and ends."""
    taking = [step for step in steps if step.absent is None]
    if taking and all(step.is_optional or step.times_min == 0 for step in taking):
        section.complain("every step is optional; nothing at all would be a match")
    for place, step in enumerate(steps[:-1]):
        if step.absent is None:
            continue
        later = [one for one in steps[place + 1 :] if one.absent is None]
        if place and all(one.is_optional or one.times_min == 0 for one in later):
            section.complain(f"the steps behind 'not: {step.absent.text}' are all optional")


def _step(
    reader: Reader, section: Section, environment: Environment, place: int
) -> tuple[StepSpec, Environment]:
    """One step, and the environment in which the next one is read."""
    step_id = section.text("id")
    id_node = section.get("id")
    if id_node is not None:
        step_id = reader.name(section, id_node, environment.names)
    kinds = [key for key in ("when", "not", "all_of") if key in section]
    if len(kinds) != 1:
        section.complain("a step has one of 'when', 'not' and 'all_of'")
    own = environment.with_names({step_id: "any"}) if NAME.fullmatch(step_id) else environment
    _check_kind(section, kinds)
    absent = reader.expression(section, "not", environment, "bool")
    all_of, inner = _all_of(reader, section, environment)
    times = _times(section)
    source_node = section.get("from")
    reader.uses_written(
        section,
        {
            **{
                key: f"sequence.{key}"
                for key in ("not", "all_of", "from", "times", "optional", "until")
            },
            "within": "sequence.step.within",
        },
    )
    spec = StepSpec(
        step_id or f"step{place + 1}",
        reader.expression(section, "when", own, "bool"),
        absent,
        all_of,
        None if source_node is None else reader.source(section, source_node),
        _chosen(reader, section, "contiguity", ("relaxed", "strict", "any")),  # type: ignore[arg-type] # those
        *times,
        section.boolean("optional"),
        reader.expression(section, "until", own, "bool"),
        optional_ms(section, "within", least=1),
    )
    section.finish()
    if absent is not None:
        return spec, environment
    return spec, inner if all_of else own


def _check_kind(section: Section, kinds: list[str]) -> None:
    """What has no meaning for a step of its kind."""
    meaningless = {
        "not": ("id", "times", "optional", "until"),
        "all_of": ("id", "times", "until", "from"),
    }
    for key in meaningless.get(kinds[0], ()) if len(kinds) == 1 else ():
        if key in section:
            section.complain(f"'{key}' has no meaning for '{kinds[0]}'", key, at_key=True)


def _all_of(
    reader: Reader, section: Section, environment: Environment
) -> tuple[tuple[StepSpec, ...], Environment]:
    steps: list[StepSpec] = []
    for place, inner in enumerate(section.sections("all_of")):
        if "all_of" in inner or "not" in inner:
            inner.complain("a part of 'all_of' has a 'when'")
        for key in ("contiguity", "times", "optional", "until", "within"):
            if key in inner:
                inner.complain(f"'{key}' goes with the 'all_of', not with a part of it", key)
        step, environment = _step(reader, inner, environment, place)
        steps.append(step)
    if "all_of" in section and not STEPS_MIN <= len(steps) <= STEPS_MAX:
        section.complain(
            f"'all_of' has {STEPS_MIN} to {STEPS_MAX} parts, not {len(steps)}", "all_of"
        )
    return tuple(steps), environment


def _times(section: Section) -> tuple[int, int | None]:
    node = section.get("times")
    if node is None:
        return 1, 1
    if node.kind != "mapping":
        times = section.integer("times", 1, least=1, most=TIMES_MAX)
        return times, times
    bounds = section.section("times")
    if bounds is None:
        return 1, 1
    bounds.require("min")
    least = bounds.integer("min", 1, least=0, most=TIMES_MAX)
    most = bounds.integer("max", 0, least=max(1, least), most=TIMES_MAX)
    bounds.finish()
    return least, most or None


def read_absent(reader: Reader, rule: Section, lookups: dict[str, Lookup]) -> AbsentSpec | None:
    """The `absent` block."""
    section = rule.section("absent")
    if section is None:
        return None
    reader.uses("absent.for", rule, "absent")
    section.require("for")
    lookup = _expected_lookup(reader, section, lookups)
    clock = section.choice("clock", ("arrival", "event"), "arrival")
    if clock == "event":
        reader.uses("absent.clock.event", section, "clock")
    reader.uses_written(section, {"startup_grace": "absent.startup_grace"})
    spec = AbsentSpec(
        section.duration_ms("for", 1, least=1),
        lookup,
        "event" if clock == "event" else "arrival",
        section.duration_ms("startup_grace"),
    )
    section.finish()
    return spec


def check_absence(rule: Section, spec: RuleSpec) -> None:
    """What an absence asks of the rest of its rule."""
    absent = spec.absent
    section = rule.section("absent")
    if absent is None or section is None:
        return
    if absent.for_ms >= spec.state.ttl_ms:
        section.complain(
            "'for' must be shorter than the state's 'ttl', or the key is forgotten first", "for"
        )
    if absent.expect_lookup is not None and len(spec.key) != 1:
        section.complain("'expect: lookup' needs a 'key' of one expression", "expect")
    if absent.clock == "event":
        for key in ("expect", "startup_grace"):
            if key in section and (key != "expect" or absent.expect_lookup is not None):
                section.complain(f"'{key}' counts by arrival; leave 'clock: event' out", key)


def _expected_lookup(reader: Reader, section: Section, lookups: dict[str, Lookup]) -> str | None:
    node = section.get("expect")
    if node is None or node.source == "seen":
        return None
    kind, _, name = node.source.partition(":")
    if kind != "lookup":
        section.complain_at(node, f"'{node.source}' is neither 'seen' nor lookup:NAME")
        return None
    reader.uses("absent.expect.lookup", section, "expect")
    reader.one_of(section, lookups, node._replace(source=name), "lookup")
    return name


def read_anomaly(reader: Reader, rule: Section, environment: Environment) -> AnomalySpec | None:
    """The `anomaly` block."""
    section = rule.section("anomaly")
    if section is None:
        return None
    section.require("value", "method")
    value = reader.expression(section, "value", environment, "number")
    method = section.choice("method", ANOMALY_METHODS, ANOMALY_METHODS[0])
    reader.uses(f"anomaly.{method}", section, "method")
    reader.uses_written(section, {"resample": "anomaly.resample"})
    history = section.integer("history", 1_000, least=10, most=HISTORY_MAX)
    spec = AnomalySpec(
        value or reader.expression_at(section, _nothing(section), "value", environment),
        method,
        history,
        section.number("sensitivity", 3.0, least=0.001, most=1_000.0),
        section.integer("warmup", min(100, history), least=1, most=history),
        optional_ms(section, "resample", least=1),
        section.choice("direction", ("both", "up", "down"), "both"),  # type: ignore[arg-type] # those three
    )
    section.finish()
    return spec


def _nothing(section: Section) -> Node:
    return Node("scalar", "payload", section.node.line, section.node.column, "payload")
