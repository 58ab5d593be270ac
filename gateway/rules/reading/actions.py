"""What a rule does when it matches: alarm, derived stream, MQTT messages, what holds them back."""

from __future__ import annotations

import re
from typing import Final

from gateway.documents import Node, Section
from gateway.rules.expression.checker import Environment
from gateway.rules.expression.compiled import CompiledExpression
from gateway.rules.expression.template import CompiledTemplate, Placeholder
from gateway.rules.features import PUBLISH_MOMENTS
from gateway.rules.reading.reader import ID, Reader, optional_ms
from gateway.rules.spec import (
    SEVERITIES,
    AlarmSpec,
    EmitSpec,
    LevelSpec,
    PayloadTemplate,
    PublishSpec,
    RankSpec,
    RuleSpec,
    Severity,
    SuppressSpec,
)

MESSAGE_CHARS_MAX: Final = 512
LEVELS_MAX: Final = 16
FIELDS_MAX: Final = 100
TAKE_MAX: Final = 1_000
STEADY_WINDOWS = ("tumbling", "hopping")
QOS_MAX: Final = 2
ACTIVE_MAX: Final = 10_000_000
PUBLISH_MAX: Final = 16
LIMIT = re.compile(r"([1-9][0-9]{0,6})/([smhd])")
LIMIT_COUNT_MAX: Final = 10_000
LIMIT_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
ALARM_MOMENTS: Final = frozenset({"raised", "changed", "cleared", "acked"})
PATTERNS: Final = ("sequence", "absent", "anomaly")
WILDCARDS = re.compile(r"[+#\x00]")


def read_alarm(reader: Reader, rule: Section, environment: Environment) -> AlarmSpec | None:
    """The `alarm` block."""
    section = rule.section("alarm")
    if section is None:
        return None
    names = ("message", "levels", "auto_clear", "latch", "labels", "active_max")
    reader.uses_written(section, {key: f"alarm.{key}" for key in names})
    message_node = section.get("message")
    if message_node is not None and len(message_node.source) > MESSAGE_CHARS_MAX:
        section.complain(f"a message has at most {MESSAGE_CHARS_MAX} characters", "message")
    spec = AlarmSpec(
        _severity(section, "warning"),
        _levels(reader, section, environment),
        None
        if message_node is None
        else reader.template(
            section,
            message_node,
            "message",
            environment.with_names({"rule": "string", "severity": "string"}),
        ),
        optional_ms(section, "auto_clear", least=1),
        section.boolean("latch"),
        _labels(section),
        section.integer("active_max", 1_000, least=1, most=ACTIVE_MAX),
    )
    section.finish()
    return spec


def _severity(section: Section, default: Severity) -> Severity:
    return section.choice("severity", SEVERITIES, default)  # type: ignore[return-value] # a severity


def _levels(reader: Reader, alarm: Section, environment: Environment) -> tuple[LevelSpec, ...]:
    levels: list[LevelSpec] = []
    for section in alarm.sections("levels")[:LEVELS_MAX]:
        section.require("severity", "when")
        severity = _severity(section, "warning")
        when = reader.expression(section, "when", environment, "bool")
        for_ms = section.duration_ms("for")
        section.finish()
        if any(level.severity == severity for level in levels):
            section.complain(f"duplicate level '{severity}'", "severity")
        if when is not None:
            levels.append(LevelSpec(severity, when, for_ms))
    return tuple(levels)


def _labels(alarm: Section) -> dict[str, str]:
    section = alarm.section("labels")
    if section is None:
        return {}
    return {key.source: section.text(key.source) for key, _ in section.entries()}


def read_emit(reader: Reader, rule: Section, environment: Environment) -> EmitSpec | None:
    """The `emit` block."""
    section = rule.section("emit")
    if section is None:
        return None
    section.require("stream")
    stream = reader.identifier(section, "stream")
    is_detecting = any(detector in rule for detector in ("when", "sequence", "absent", "anomaly"))
    default = "match" if is_detecting else ("window" if "window" in rule else "event")
    moment = section.choice("on", ("match", "window", "event"), default)
    reader.uses(f"emit.on.{moment}", rule, "emit")
    reader.uses_written(section, {"fields": "emit.fields", "rank": "emit.rank"})
    spec = EmitSpec(
        stream,
        _fields(reader, section, environment),
        moment,  # type: ignore[arg-type] # one of the three that `choice` allows
        _rank(reader, section, environment),
    )
    if len(spec.fields) > FIELDS_MAX:
        section.complain(f"'fields' has more than {FIELDS_MAX} entries", "fields")
    if moment == "window" and "window" not in rule:
        section.complain("'on: window' needs a 'window'", "on")
    section.finish()
    return spec


def check_emission(rule: Section, spec: RuleSpec) -> None:
    """What is emitted must come about: each event without a window, a match with a detector."""
    section = rule.section("emit")
    moment = spec.emit.on if spec.emit is not None else ""
    if section is None:
        return
    _check_rank(section, spec)
    if "on" not in section:
        return
    pattern = next((name for name in PATTERNS if name in rule), None)
    if moment == "event" and "window" in rule:
        section.complain("'on: event' knows nothing of the window; write on: window", "on")
    elif moment != "match" and pattern is not None:
        section.complain(f"a rule with '{pattern}' emits on: match", "on")
    elif moment == "match" and "when" not in rule and pattern is None:
        section.complain("'on: match' needs a 'when' or another detector", "on")


def _check_rank(emit: Section, spec: RuleSpec) -> None:
    """What is ranked must come about at the same moments for all keys."""
    if spec.emit is None or spec.emit.rank is None:
        return
    if spec.emit.on != "window" or spec.window is None or spec.window.kind not in STEADY_WINDOWS:
        emit.complain(
            "'rank' compares what keys emit at the end of a window; it needs 'on: window' and a "
            "tumbling or hopping window",
            "rank",
        )
    elif spec.window.allowed_lateness_ms:
        emit.complain("a ranking is not corrected; leave out 'allowed_lateness'", "rank")


def _fields(
    reader: Reader, emit: Section, environment: Environment
) -> dict[str, CompiledExpression]:
    section = emit.section("fields")
    if section is None:
        return {}
    return {
        key.source: reader.expression_at(section, node, f"fields.{key.source}", environment)
        for key, node in section.entries()
    }


def _rank(reader: Reader, emit: Section, environment: Environment) -> RankSpec | None:
    section = emit.section("rank")
    if section is None:
        return None
    section.require("by", "take")
    by = reader.expression(section, "by", environment, "number")
    take = section.integer("take", 1, least=1, most=TAKE_MAX)
    order = section.choice("order", ("desc", "asc"), "desc")
    per = reader.expression(section, "per", environment)
    section.finish()
    return None if by is None else RankSpec(by, take, "asc" if order == "asc" else "desc", per)


def read_publish(
    reader: Reader, rule: Section, environment: Environment
) -> tuple[PublishSpec, ...]:
    """The `publish` block or list of blocks."""
    node = rule.get("publish")
    if node is None:
        return ()
    environment = environment.with_names(
        dict.fromkeys(("rule", "severity", "event", "message", "id"), "string")
    )
    items = node.value if node.kind == "list" else [node]
    if len(items) > PUBLISH_MAX:
        rule.complain(f"'publish' has more than {PUBLISH_MAX} entries", "publish")
    sections = (rule.as_section(item, "publish") for item in items)
    return tuple(
        _publish(reader, section, environment) for section in sections if section is not None
    )


def _publish(reader: Reader, section: Section, environment: Environment) -> PublishSpec:
    section.require("topic")
    node = section.get("topic")
    topic = reader.template(
        section, Node("scalar", "", 1, 1, "missing") if node is None else node, "topic", environment
    )
    _check_topic(section, topic)
    payload_node = section.get("payload")
    reader.uses_written(section, {"payload": "publish.payload"})
    spec = PublishSpec(
        topic,
        None if payload_node is None else _payload(reader, section, payload_node, environment),
        section.integer("qos", 0, least=0, most=QOS_MAX),
        section.boolean("retain"),
        frozenset(_moments(reader, section)),
    )
    section.finish()
    return spec


def _check_topic(section: Section, topic: CompiledTemplate) -> None:
    literal = "".join(part for part in topic.parts if isinstance(part, str))
    if WILDCARDS.search(literal):
        section.complain("a topic to publish to has no wildcards", "topic")
    elif topic.text.startswith("$"):
        section.complain("topics that begin with $ are the gateway's own", "topic")
    elif isinstance(topic.parts[0] if topic.parts else None, Placeholder):
        return
    elif not literal and "topic" in section and topic.text == "" and not section.text("topic"):
        section.complain("the topic is empty", "topic")


def _moments(reader: Reader, section: Section) -> list[str]:
    node = section.get("on")
    if node is None:
        return ["raised", "cleared"]
    found = []
    for item in section.items(node, "on"):
        if reader.one_of(section, PUBLISH_MOMENTS, item, "moment"):
            reader.uses(f"publish.on.{item.source}", section, "on")
            found.append(item.source)
    return found


def _payload(
    reader: Reader, section: Section, node: Node, environment: Environment
) -> PayloadTemplate:
    """A payload written out: texts in it are templates, everything else stays."""
    if node.kind == "mapping":
        return {
            key.source: _payload(reader, section, item, environment) for key, item in node.value
        }
    if node.kind == "list":
        return tuple(_payload(reader, section, item, environment) for item in node.value)
    if isinstance(node.value, str):
        return reader.template(section, node, "payload", environment)
    # A template without placeholders would make text of a number; an expression keeps its type.
    return reader.template(
        section, node._replace(source=f"{{{node.source}}}"), "payload", environment
    )


def read_suppress(
    reader: Reader, section: Section | None, base: SuppressSpec, environment: Environment
) -> SuppressSpec:
    """The `suppress` block; what it doesn't say is as in `base`."""
    if section is None:
        return base
    names = ("cooldown", "by", "limit", "remind", "while_active", "group")
    reader.uses_written(section, {key: f"suppress.{key}" for key in names})
    by = reader.expressions(section, "by", environment)
    limit_count, limit_window_ms = _limit(section, base)
    spec = SuppressSpec(
        section.duration_ms("cooldown", base.cooldown_ms),
        base.by if by is None else by,
        limit_count,
        limit_window_ms,
        optional_ms(section, "remind", base.remind_ms, least=1),
        tuple(_rule_ids(section)) or base.while_active,
        section.duration_ms("group", base.group_ms),
    )
    section.finish()
    return spec


def _limit(section: Section, base: SuppressSpec) -> tuple[int | None, int]:
    node = section.get("limit")
    if node is None:
        return base.limit_count, base.limit_window_ms
    match = LIMIT.fullmatch(node.source)
    if match is None:
        section.complain_at(node, f"'{node.source}' is not a limit (write 20/h, 5/m, 1/s, 100/d)")
        return None, 0
    if int(match[1]) > LIMIT_COUNT_MAX:
        section.complain_at(node, f"a limit counts at most {LIMIT_COUNT_MAX} notifications")
    return int(match[1]), LIMIT_UNITS_MS[match[2]]


def _rule_ids(section: Section) -> list[str]:
    node = section.get("while_active")
    if node is None:
        return []
    found = []
    for item in section.items(node, "while_active"):
        if ID.fullmatch(item.source):
            found.append(item.source)
        else:
            section.complain_at(item, f"'{item.source}' is not a rule id")
    return found
