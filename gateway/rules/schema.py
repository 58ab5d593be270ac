"""The JSON Schema of rule files, for editors; the loader checks more, and says it better."""

from __future__ import annotations

from typing import Any, Final

from gateway.rules.expression.functions import AGGREGATES
from gateway.rules.expression.parser import SOURCE_CHARS_MAX
from gateway.rules.features import ANOMALY_METHODS, PUBLISH_MOMENTS
from gateway.rules.reading.actions import MESSAGE_CHARS_MAX, TAKE_MAX
from gateway.rules.reading.detectors import STEPS_MAX
from gateway.rules.reading.frames import COUNT_MAX
from gateway.rules.reading.reader import KEYS_MAX
from gateway.rules.reading.references import DAYS
from gateway.rules.spec import SEVERITIES

JsonSchema = dict[str, Any]

NAME: Final[JsonSchema] = {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$"}
ID: Final[JsonSchema] = {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$"}
DURATION: Final[JsonSchema] = {
    "type": "string",
    "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
}
# YAML reads `true`, `5` and `null` as other types; as expressions they are texts all the same.
EXPRESSION: Final[JsonSchema] = {
    "type": ["string", "boolean", "number"],
    "minLength": 1,
    "maxLength": SOURCE_CHARS_MAX,
}
TEXT: Final[JsonSchema] = {"type": "string"}
SCALAR: Final[JsonSchema] = {"type": ["string", "boolean", "number"]}
FLAG: Final[JsonSchema] = {"type": "boolean"}
TIME_OF_DAY: Final[JsonSchema] = {
    "type": "string",
    "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$",
}


def rules_schema() -> JsonSchema:
    """The schema of one rule file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://penstock.example/rules/v1.schema.json",
        "title": "Penstock rule file",
        **_object(
            {
                "version": {"const": 1},
                "defaults": _defaults(),
                "lookups": _named(_lookup()),
                "zones": _named(_zone()),
                "schedules": _named(_schedule()),
                "rules": {"type": "array", "items": _rule()},
            },
            "version",
            "rules",
        ),
    }


def _object(properties: JsonSchema, *required: str) -> JsonSchema:
    schema: JsonSchema = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    return {**schema, "required": list(required)} if required else schema


def _named(schema: JsonSchema) -> JsonSchema:
    """A mapping whose keys are names that the writer chooses."""
    return {"type": "object", "propertyNames": NAME, "additionalProperties": schema}


def _one_or_more(schema: JsonSchema, most: int | None = None) -> JsonSchema:
    several: JsonSchema = {"type": "array", "items": schema}
    return {"anyOf": [schema, several if most is None else {**several, "maxItems": most}]}


def _choice(*words: str) -> JsonSchema:
    return {"enum": list(words)}


def _whole(least: int, most: int | None = None) -> JsonSchema:
    schema: JsonSchema = {"type": "integer", "minimum": least}
    return schema if most is None else {**schema, "maximum": most}


def _keys() -> JsonSchema:
    return _one_or_more(EXPRESSION, KEYS_MAX)


def _defaults() -> JsonSchema:
    return _object(
        {
            "from": _one_or_more(TEXT),
            "key": _keys(),
            "time": _time(),
            "state": _state(),
            "suppress": _suppress(),
            "on_unknown": _choice("hold", "reset", "false"),
        }
    )


def _lookup() -> JsonSchema:
    return _object({"file": TEXT, "key": TEXT, "reload": DURATION}, "file", "key")


def _zone() -> JsonSchema:
    degrees = {"type": "number"}
    circle = _object(
        {
            "lat": {**degrees, "minimum": -90, "maximum": 90},
            "lon": {**degrees, "minimum": -180, "maximum": 180},
            "radius_m": {"type": "number", "exclusiveMinimum": 0},
        },
        "lat",
        "lon",
        "radius_m",
    )
    corner = {"type": "array", "minItems": 2, "maxItems": 2, "items": degrees}
    polygon = {"type": "array", "minItems": 3, "items": corner}
    zone = _object({"circle": circle, "polygon": polygon, "geojson": TEXT})
    return {**zone, "minProperties": 1, "maxProperties": 1}


def _schedule() -> JsonSchema:
    days = {"type": "array", "uniqueItems": True, "items": _choice(*DAYS)}
    return _object(
        {"days": days, "from": TIME_OF_DAY, "to": TIME_OF_DAY, "timezone": TEXT}, "timezone"
    )


def _time() -> JsonSchema:
    return _object(
        {
            "by": _choice("event", "arrival"),
            "field": EXPRESSION,
            "out_of_order": DURATION,
            "late": DURATION,
            "early": DURATION,
            "late_policy": _choice("drop", "adjust", "side"),
            "idle": DURATION,
            "watermark": _choice("key", "partition"),
        }
    )


def _state() -> JsonSchema:
    return _object(
        {
            "ttl": DURATION,
            "max_keys": _whole(1),
            "max_partials": _whole(1),
            "max_samples": _whole(1),
            "max_samples_total": _whole(1),
        }
    )


def _window() -> JsonSchema:
    return _object(
        {
            "sliding": DURATION,
            "tumbling": DURATION,
            "hopping": DURATION,
            "session": DURATION,
            "count": _whole(1, COUNT_MAX),
            "every": {"anyOf": [DURATION, _whole(1)]},
            "max": DURATION,
            "offset": DURATION,
            "timezone": TEXT,
            "min_samples": _whole(1),
            "allowed_lateness": DURATION,
        }
    )


def _aggregate() -> JsonSchema:
    return {"type": "string", "pattern": rf"^\s*({'|'.join(AGGREGATES)})\s*\([\s\S]*\)\s*$"}


def _join() -> JsonSchema:
    return _object(
        {
            "with": _named(TEXT),
            "within": DURATION,
            "on": EXPRESSION,
            "type": _choice("inner", "left", "latest"),
        },
        "with",
        "within",
    )


def _step(*, is_part: bool = False) -> JsonSchema:
    times = {
        "anyOf": [_whole(1), _object({"min": _whole(0), "max": _whole(1)}, "min")],
    }
    inner = {} if is_part else {"all_of": {"type": "array", "items": _step(is_part=True)}}
    return _object(
        {
            "id": NAME,
            "from": TEXT,
            "when": EXPRESSION,
            "not": EXPRESSION,
            **inner,
            "contiguity": _choice("strict", "relaxed", "any"),
            "times": times,
            "optional": FLAG,
            "until": EXPRESSION,
            "within": DURATION,
        }
    )


def _sequence() -> JsonSchema:
    steps = {"type": "array", "minItems": 1, "maxItems": STEPS_MAX, "items": _step()}
    return _object(
        {
            "steps": steps,
            "within": DURATION,
            "skip": _choice("none", "to_next", "past_last"),
            "on_timeout": _choice("ignore", "emit"),
        },
        "steps",
    )


def _absent() -> JsonSchema:
    return _object(
        {
            "for": DURATION,
            "expect": {"type": "string", "pattern": "^(seen|lookup:[a-z][a-z0-9_]*)$"},
            "clock": _choice("arrival", "event"),
            "startup_grace": DURATION,
        },
        "for",
    )


def _anomaly() -> JsonSchema:
    return _object(
        {
            "value": EXPRESSION,
            "method": _choice(*ANOMALY_METHODS),
            "history": _whole(10),
            "sensitivity": {"type": "number", "exclusiveMinimum": 0},
            "warmup": _whole(1),
            "resample": DURATION,
            "direction": _choice("both", "up", "down"),
        },
        "value",
        "method",
    )


def _alarm() -> JsonSchema:
    severity = _choice(*SEVERITIES)
    level = _object({"severity": severity, "when": EXPRESSION, "for": DURATION}, "severity", "when")
    return _object(
        {
            "severity": severity,
            "levels": {"type": "array", "items": level},
            "message": {"type": "string", "maxLength": MESSAGE_CHARS_MAX},
            "auto_clear": DURATION,
            "latch": FLAG,
            "labels": {"type": "object", "additionalProperties": SCALAR},
            "active_max": _whole(1),
        }
    )


def _emit() -> JsonSchema:
    rank = _object(
        {
            "by": EXPRESSION,
            "take": _whole(1, TAKE_MAX),
            "order": _choice("desc", "asc"),
            "per": EXPRESSION,
        },
        "by",
        "take",
    )
    return _object(
        {
            "stream": ID,
            "fields": {"type": "object", "additionalProperties": EXPRESSION},
            "on": _choice("match", "window", "event"),
            "rank": rank,
        },
        "stream",
    )


def _publish() -> JsonSchema:
    moments = _one_or_more(_choice(*PUBLISH_MOMENTS))
    message = _object(
        {
            "topic": TEXT,
            "payload": {},
            "qos": {"enum": [0, 1, 2]},
            "retain": FLAG,
            "on": moments,
        },
        "topic",
    )
    return _one_or_more(message)


def _suppress() -> JsonSchema:
    return _object(
        {
            "cooldown": DURATION,
            "by": _keys(),
            "limit": {"type": "string", "pattern": "^[1-9][0-9]*/[smhd]$"},
            "remind": DURATION,
            "while_active": _one_or_more(ID),
            "group": DURATION,
        }
    )


def _rule() -> JsonSchema:
    frame = {
        "id": ID,
        "title": SCALAR,
        "description": SCALAR,
        "tags": _one_or_more(SCALAR),
        "enabled": FLAG,
        "from": _one_or_more(TEXT),
        "key": _keys(),
        "where": EXPRESSION,
        "active": EXPRESSION,
        "at_opening": _choice("raise", "ignore"),
        "arm": _choice("level", "crossing"),
        "time": _time(),
        "state": _state(),
        "dedupe": _object({"by": _keys(), "within": DURATION}, "by", "within"),
        "enrich": _named({"type": "string", "pattern": r"^[a-z][a-z0-9_]*\[.+\]$"}),
        "let": _named(EXPRESSION),
        "join": _join(),
        "window": _window(),
        "aggregate": {**_named(_aggregate()), "minProperties": 1},
    }
    detectors = {
        "when": EXPRESSION,
        "for": DURATION,
        "max_gap": DURATION,
        "clear": EXPRESSION,
        "clear_for": DURATION,
        "repeat": _object({"times": _whole(2), "within": DURATION}, "times", "within"),
        "on_unknown": _choice("hold", "reset", "false"),
        "sequence": _sequence(),
        "absent": _absent(),
        "anomaly": _anomaly(),
    }
    actions = {
        "alarm": _alarm(),
        "emit": _emit(),
        "publish": _publish(),
        "suppress": _suppress(),
    }
    return _object({**frame, **detectors, **actions}, "id")
