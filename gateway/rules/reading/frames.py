"""What stands round a rule's detector: time, state, window, aggregates, joins, lets, look-ups."""

from __future__ import annotations

from typing import Final

from gateway.documents import Node, Section
from gateway.errors import ExpressionInvalid
from gateway.rules.expression.checker import Environment, find_timezone
from gateway.rules.expression.nodes import Literal
from gateway.rules.features import WINDOW_KINDS
from gateway.rules.reading.aggregate_calls import parse_aggregate, result_kind
from gateway.rules.reading.reader import Reader, optional_ms
from gateway.rules.spec import (
    AggregateSpec,
    DedupeSpec,
    EnrichSpec,
    JoinSpec,
    LetSpec,
    Lookup,
    Source,
    StateSpec,
    TimeSpec,
    WindowSpec,
)
from gateway.rules.values import Kind

KEYS_LIMIT: Final = 10_000_000
PARTIALS_LIMIT: Final = 100_000
SAMPLES_LIMIT: Final = 1_000_000
TOTAL_LIMIT: Final = 1_000_000_000
COUNT_MAX: Final = 100_000
SPAN_MS_MAX: Final = 366 * 86_400_000
DAY_MS: Final = 86_400_000
PANES_MAX: Final = 10_000
JOINED_MAX: Final = 8


def read_time(
    reader: Reader, section: Section | None, base: TimeSpec, environment: Environment
) -> TimeSpec:
    """The `time` block; what it doesn't say is as in `base`."""
    if section is None:
        return base
    bounds = ("out_of_order", "late", "early", "idle")
    reader.uses_written(section, {key: f"time.{key}" for key in bounds})
    field = reader.expression(section, "field", environment) or base.field
    implied = "event" if field is not None else base.by
    by = section.choice("by", ("event", "arrival"), implied)
    policy = section.choice("late_policy", ("drop", "adjust", "side"), base.late_policy)
    watermark = section.choice("watermark", ("key", "partition"), base.watermark)
    if policy != "side" and "late_policy" in section:
        reader.uses(f"time.late_policy.{policy}", section, "late_policy")
    if watermark == "partition" and "watermark" in section:
        reader.uses("time.watermark.partition", section, "watermark")
    spec = TimeSpec(
        "event" if by == "event" else "arrival",
        field if by == "event" else None,
        section.duration_ms("out_of_order", base.out_of_order_ms),
        optional_ms(section, "late", base.late_ms),
        optional_ms(section, "early", base.early_ms),
        policy,  # type: ignore[arg-type] # one of the three that `choice` allows
        optional_ms(section, "idle", base.idle_ms),
        watermark,  # type: ignore[arg-type] # one of the two that `choice` allows
    )
    section.finish()
    if by == "event" and field is None:
        section.complain("'time' by event needs 'field', such as payload.ts")
    return spec


def read_state(reader: Reader, section: Section | None, base: StateSpec) -> StateSpec:
    """The `state` block; what it doesn't say is as in `base`."""
    if section is None:
        return base
    names = ("ttl", "max_keys", "max_partials", "max_samples", "max_samples_total")
    reader.uses_written(section, {key: f"state.{key}" for key in names})
    spec = StateSpec(
        section.duration_ms("ttl", base.ttl_ms, least=1),
        section.integer("max_keys", base.max_keys, least=1, most=KEYS_LIMIT),
        section.integer("max_partials", base.max_partials, least=1, most=PARTIALS_LIMIT),
        section.integer("max_samples", base.max_samples, least=1, most=SAMPLES_LIMIT),
        section.integer("max_samples_total", base.max_samples_total, least=1, most=TOTAL_LIMIT),
    )
    section.finish()
    return spec


def read_dedupe(reader: Reader, rule: Section, environment: Environment) -> DedupeSpec | None:
    """The `dedupe` block."""
    section = rule.section("dedupe")
    if section is None:
        return None
    reader.uses("dedupe", rule, "dedupe")
    section.require("by", "within")
    by = reader.expressions(section, "by", environment) or ()
    spec = DedupeSpec(by, section.duration_ms("within", 1, least=1))
    section.finish()
    return spec


def read_enrich(
    reader: Reader, rule: Section, environment: Environment, lookups: dict[str, Lookup]
) -> tuple[EnrichSpec, ...]:
    """The `enrich` block: `name: "lookup[expression]"`."""
    section = rule.section("enrich")
    if section is None:
        return ()
    reader.uses("enrich", rule, "enrich")
    found: list[EnrichSpec] = []
    for key, node in section.entries():
        reader.name(section, key)
        lookup, bracket, rest = node.source.partition("[")
        if node.kind != "scalar" or not bracket or not rest.endswith("]"):
            section.complain_at(node, f"'{node.source}' is no look-up; write lookup[device]")
            continue
        lookup_node = node._replace(source=lookup.strip())
        reader.one_of(section, lookups, lookup_node, "lookup")
        place = node._replace(source=rest[:-1], column=node.column + len(lookup) + 1)
        expression = reader.expression_at(section, place, f"enrich.{key.source}", environment)
        found.append(EnrichSpec(key.source, lookup.strip(), expression))
    return tuple(found)


def read_let(
    reader: Reader, rule: Section, environment: Environment
) -> tuple[tuple[LetSpec, ...], Environment]:
    """The `let` block, and the environment with its names; each may read those before it."""
    section = rule.section("let")
    if section is None:
        return (), environment
    reader.uses("let", rule, "let")
    found: list[LetSpec] = []
    for key, node in section.entries():
        reader.name(section, key, environment.names)
        expression = reader.expression_at(section, node, f"let.{key.source}", environment)
        environment = environment.with_names({key.source: expression.kind}).remembering_all()
        found.append(LetSpec(key.source, expression))
    return tuple(found), environment


def read_join(
    reader: Reader, rule: Section, environment: Environment
) -> tuple[JoinSpec | None, Environment]:
    """The `join` block, and the environment with the names of its events."""
    section = rule.section("join")
    if section is None:
        return None, environment
    section.require("with", "within")
    join_type = section.choice("type", ("inner", "left", "latest"), "inner")
    reader.uses(f"join.{join_type}", rule, "join")
    sources: dict[str, Source] = {}
    joined = section.section("with")
    for key, node in joined.entries() if joined is not None else ():
        reader.name(section, key, environment.names)
        source = reader.source(section, node)
        if source is not None:
            sources[key.source] = source
    if joined is not None and not joined.keys():
        joined.complain("'with' names no source; write {name: topic/filter}")
    for pattern in ("sequence", "absent", "anomaly"):
        if pattern in rule:
            rule.complain(f"a join goes with 'when' or 'emit', not with '{pattern}'", "join")
    if len(sources) > JOINED_MAX:
        section.complain(f"'with' has {len(sources)} sources; at most {JOINED_MAX}", "with")
    environment = environment.with_names(dict.fromkeys(sources, "any"))
    spec = JoinSpec(
        sources,
        section.duration_ms("within", 1, least=1),
        reader.expression(section, "on", environment, "bool"),
        join_type,  # type: ignore[arg-type] # one of the three that `choice` allows
    )
    section.finish()
    return spec, environment


def read_aggregates(
    reader: Reader, rule: Section, environment: Environment
) -> tuple[tuple[AggregateSpec, ...], dict[str, Kind]]:
    """The `aggregate` block and the types of its names; `environment` is that of single events.

    A name whose call is wrong is known all the same, so that what reads it isn't wrong too.
    """
    section = rule.section("aggregate")
    if section is None:
        return (), {}
    if not section.keys():
        section.complain("'aggregate' is empty; write {name: avg(payload.value)}")
    found: list[AggregateSpec] = []
    kinds: dict[str, Kind] = {}
    for key, node in section.entries():
        reader.name(section, key, environment.names)
        spec = _aggregate(reader, section, key, node, environment)
        kinds[key.source] = "any" if spec is None else result_kind(spec)
        if spec is not None:
            found.append(spec)
    return tuple(found), kinds


def _aggregate(
    reader: Reader, section: Section, key: Node, node: Node, environment: Environment
) -> AggregateSpec | None:
    what = f"aggregate.{key.source}"
    if node.kind != "scalar":
        section.complain_at(node, f"'{what}' must be a call such as avg(payload.value)")
        return None
    try:
        spec = parse_aggregate(key.source, node.source, environment)
    except ExpressionInvalid as error:
        reader.complain_inside(node, error, what)
        return None
    reader.uses(f"aggregate.{spec.function}", section, key.source)
    if spec.is_sketch:
        reader.uses("aggregate.sketch", section, key.source)
    for expression in (spec.value, spec.by):
        if expression is not None:
            reader.notice_features(section, node, expression.names)
    return spec


def read_window(reader: Reader, rule: Section) -> WindowSpec | None:
    """The `window` block."""
    section = rule.section("window")
    if section is None:
        return None
    kinds = [kind for kind in WINDOW_KINDS if kind in section]
    if len(kinds) > 1:
        section.complain(
            f"'window' has {' and '.join(kinds)}; write one of them", kinds[1], at_key=True
        )
    kind = kinds[0] if kinds else ""
    if kinds:
        reader.uses(f"window.{kind}", section, kind)
    options = ("offset", "timezone", "allowed_lateness")
    reader.uses_written(section, {key: f"window.{key}" for key in options})
    spec = _window(section, kind)
    allowed = {"hopping": ("every",), "session": ("max",), "count": ("every",)}.get(kind, ())
    for key in ("every", "max"):
        if section.get(key) is not None and kind and key not in allowed:
            section.complain(f"'{key}' has no meaning in a {kind} window", key, at_key=True)
    before = len(section.complaints)
    section.finish(*WINDOW_KINDS)
    if not kinds and len(section.complaints) == before:
        section.complain(f"'window' needs one of {', '.join(WINDOW_KINDS)}")
    return spec


def _window(section: Section, kind: str) -> WindowSpec:
    size_ms = 0
    if kind and kind != "count":
        size_ms = section.duration_ms(kind, 1, least=1)
        if size_ms > SPAN_MS_MAX:
            section.complain(f"'{kind}' must be at most 366d", kind)
    count = section.integer("count", 0, least=1, most=COUNT_MAX) if kind == "count" else 0
    every_ms = _every_ms(section, size_ms) if kind == "hopping" else 0
    if kind == "session":
        section.require("max")
    if "allowed_lateness" in section and kind not in ("tumbling", "hopping"):
        section.complain(
            "'allowed_lateness' is for tumbling and hopping windows",
            "allowed_lateness",
            at_key=True,
        )
    timezone = section.text("timezone") or None
    if timezone:
        _check_timezone(section, timezone, kind, (size_ms, every_ms))
    return WindowSpec(
        kind or "sliding",  # type: ignore[arg-type] # one of WINDOW_KINDS
        size_ms,
        size_ms if kind == "tumbling" else every_ms,
        section.duration_ms("max", 0, least=size_ms) if kind == "session" else 0,
        count,
        section.integer("every", 1, least=1, most=count or 1) if kind == "count" else 1,
        section.duration_ms("offset", 0),
        timezone,
        section.integer("min_samples", 1, least=1, most=COUNT_MAX),
        section.duration_ms("allowed_lateness", 0),
    )


def _every_ms(section: Section, size_ms: int) -> int:
    section.require("every")
    every_ms = section.duration_ms("every", size_ms, least=1)
    if every_ms > size_ms:
        section.complain("'every' is longer than the window; events would be left out", "every")
    elif size_ms > every_ms * PANES_MAX:
        section.complain(f"'every' cuts the window into more than {PANES_MAX} parts", "every")
    return every_ms


def _check_timezone(section: Section, timezone: str, kind: str, spans_ms: tuple[int, ...]) -> None:
    try:
        find_timezone(Literal(1, timezone))
    except ExpressionInvalid as error:
        section.complain(str(error), "timezone")
    if kind not in ("tumbling", "hopping") or any(span_ms % DAY_MS for span_ms in spans_ms):
        section.complain(
            "'timezone' is for tumbling and hopping windows of whole days", "timezone", at_key=True
        )
