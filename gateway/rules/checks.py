"""How rules that are each well-formed fit together, and what about them is doubtful."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from gateway.documents import Section, did_you_mean
from gateway.errors import Complaint
from gateway.rules.expression.template import CompiledTemplate
from gateway.rules.outputs import SIDE_STREAM_PREFIX
from gateway.rules.overlap import can_both_hold, implies, is_never_true
from gateway.rules.spec import SEVERITIES, RuleSpec, Source

# Streams that the gateway writes itself.
OWN_STREAMS: Final = frozenset(
    {"telemetry", "alerts", "alarms", "dead-letters", "lookups", "ticks", "presence"}
)
Warn = Callable[[Section, str, str], None]


class Written(NamedTuple):
    """A rule, and where it is written."""

    rule: RuleSpec
    section: Section


def check_set(written: Sequence[Written]) -> list[Complaint]:
    """Note every error in its file's complaints.

    Returns the warnings, in the order of the rules.
    """
    rules = {item.rule.id: item.rule for item in written}
    warnings: list[Complaint] = []
    emitters: dict[str, str] = {}
    for item in written:
        _check_references(item, rules)
        _check_stream(item, emitters)
        for key, doubt in _doubts(item.rule):
            node = item.section.get(key) or item.section.node
            warnings.append(Complaint(item.rule.path, node.line, node.column, doubt))
    _check_cycles(written, rules)
    return warnings


def _check_references(item: Written, rules: Mapping[str, RuleSpec]) -> None:
    rule, section = item
    for key, source in sources_of(rule):
        if source.kind != "rule":
            continue
        found = rules.get(source.name)
        if found is None:
            hint = did_you_mean(source.name, rules) or "; no rule of this set has that id"
            section.complain(f"unknown rule '{source.name}'{hint}", key)
        elif found.emit is None:
            section.complain(f"rule '{source.name}' emits no stream; give it an 'emit'", key)
    for other in rule.suppress.while_active:
        if other == rule.id:
            section.complain("a rule can't suppress itself", "suppress")
        elif other not in rules:
            hint = did_you_mean(other, rules) or "; no rule of this set has that id"
            section.complain(f"unknown rule '{other}' in 'while_active'{hint}", "suppress")


def _check_stream(item: Written, emitters: dict[str, str]) -> None:
    """A derived stream is written by one rule, so that whoever reads it knows whose it is."""
    emit = item.rule.emit
    if emit is None:
        return
    if emit.stream in OWN_STREAMS or emit.stream.startswith(SIDE_STREAM_PREFIX):
        item.section.complain(f"the stream '{emit.stream}' is the gateway's own", "emit")
    other = emitters.setdefault(emit.stream, item.rule.id)
    if other != item.rule.id:
        item.section.complain(
            f"rule '{other}' emits the stream '{emit.stream}' already; give this one its own, and "
            f"read both by 'from: [rule:{other}, rule:{item.rule.id}]'",
            "emit",
        )


def _check_cycles(written: Sequence[Written], rules: Mapping[str, RuleSpec]) -> None:
    """Derived streams must not feed themselves; each cycle is told once, at its first rule."""
    finished: set[str] = set()
    sections = {item.rule.id: item.section for item in written}
    for start in rules:
        cycle = _cycle_from(start, rules, finished)
        if cycle:
            sections[cycle[0]].complain(
                f"these rules feed each other in a circle: {' → '.join(cycle)}", "from"
            )


def _cycle_from(start: str, rules: Mapping[str, RuleSpec], finished: set[str]) -> list[str]:
    """A circle that can be reached from `start`, in the direction of the events; empty if none."""
    path: dict[str, Iterator[str]] = {}
    found = start
    while True:
        if found in path:
            finished.update(path)
            names = list(path)
            return [found, *reversed(names[names.index(found) :])]
        if found not in finished:
            path[found] = iter(_fed_by(rules[found], rules))
        following = _next_name(path, finished)
        if following is None:
            return []
        found = following


def _next_name(path: dict[str, Iterator[str]], finished: set[str]) -> str | None:
    """The next rule to look at; rules that feed nothing more are taken off the path."""
    while path:
        last = next(reversed(path))
        following = next(path[last], None)
        if following is not None:
            return following
        del path[last]
        finished.add(last)
    return None


def _fed_by(rule: RuleSpec, rules: Mapping[str, RuleSpec]) -> list[str]:
    return [s.name for _, s in sources_of(rule) if s.kind == "rule" and s.name in rules]


def sources_of(rule: RuleSpec) -> Iterator[tuple[str, Source]]:
    """Every source that a rule reads, with the key under which it is written."""
    for source in rule.sources:
        yield "from", source
    if rule.join is not None:
        for source in rule.join.sources.values():
            yield "join", source
    for step in rule.sequence.steps if rule.sequence is not None else ():
        for part in (step, *step.all_of):
            if part.source is not None:
                yield "sequence", part.source


def _doubts(rule: RuleSpec) -> Iterator[tuple[str, str]]:
    condition = rule.condition
    if condition is not None:
        if is_never_true(condition.when):
            yield "when", "this can never be true"
        if condition.clear is not None and can_both_hold(condition.when, condition.clear):
            yield (
                "clear",
                "'when' and 'clear' can both be true; the alarm would clear while its cause holds",
            )
    yield from _level_doubts(rule)
    if rule.absent is not None and rule.absent.clock == "event" and rule.time.idle_ms is None:
        yield (
            "absent",
            "by 'clock: event' and without 'time: {idle}' a silence is noticed with the next "
            "message only",
        )
    for publish in rule.publish:
        topic = publish.topic
        if isinstance(topic, CompiledTemplate) and reads_own_output(rule, topic):
            yield (
                "publish",
                "the rule reads the topic that it publishes to, its own messages included",
            )


def _level_doubts(rule: RuleSpec) -> Iterator[tuple[str, str]]:
    """Levels that a higher one always hides."""
    levels = rule.alarm.levels if rule.alarm is not None else ()
    for level in levels:
        for higher in levels:
            if (
                SEVERITIES.index(higher.severity) > SEVERITIES.index(level.severity)
                and higher.for_ms <= level.for_ms
                and implies(level.when, higher.when)
            ):
                yield (
                    "alarm",
                    f"level '{level.severity}' is never reached: "
                    f"'{higher.severity}' holds whenever it does",
                )
                break


def reads_own_output(rule: RuleSpec, topic: CompiledTemplate) -> bool:
    """Whether a topic that the rule publishes to may match one of its topic filters."""
    pattern = "".join(part if isinstance(part, str) else "\0" for part in topic.parts).split("/")
    return any(
        source.kind == "topic" and _may_match(source.name.split("/"), pattern)
        for source in rule.sources
    )


def _may_match(wanted: Sequence[str], pattern: Sequence[str]) -> bool:
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(pattern):
            return False
        # A placeholder may hold anything, slashes too; that is left out of account.
        if level != "+" and "\0" not in pattern[place] and level != pattern[place]:
            return False
    return len(wanted) == len(pattern)
