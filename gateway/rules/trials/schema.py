"""The JSON Schema of `*.test.yaml`, for editors; the reader checks more, and says it better."""

from __future__ import annotations

from gateway.rules.schema import DURATION, ID, JsonSchema
from gateway.rules.spec import SEVERITIES
from gateway.rules.trials.reading import EVENTS, STATES

TEXT: JsonSchema = {"type": ["string", "boolean", "number"]}
ANYTHING: JsonSchema = {}


def trials_schema() -> JsonSchema:
    """The schema of one test file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://penstock.example/rules/v1.test.schema.json",
        "title": "Penstock rule tests",
        **_object(
            {
                "version": {"const": 1},
                "rules": {"anyOf": [TEXT, {"type": "array", "items": TEXT}]},
                "enable": {"anyOf": [ID, {"type": "array", "items": ID}]},
                "cases": {"type": "array", "minItems": 1, "items": _case()},
            },
            "rules",
            "cases",
        ),
    }


def _object(properties: JsonSchema, *required: str) -> JsonSchema:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": list(required),
    }


def _case() -> JsonSchema:
    expectations: JsonSchema = {"type": "array", "items": _expectation()}
    return _object(
        {
            "name": TEXT,
            "start": {"type": "string"},
            "until": DURATION,
            "input": {"type": "array", "items": _input()},
            "expect": expectations,
            "expect_no": expectations,
        },
        "name",
    )


def _input() -> JsonSchema:
    # Fields of the payload are keys of the writer's choice, as in `payload.temperature`.
    return {
        **_object(
            {
                "topic": {"type": "string", "minLength": 1},
                "device": TEXT,
                "at": DURATION,
                "every": DURATION,
                "delay": DURATION,
                "stamp": {"type": "string", "pattern": r"^payload\..+$"},
                "times": {"type": "integer", "minimum": 1},
                "payload": ANYTHING,
            },
            "topic",
        ),
        "additionalProperties": ANYTHING,
        "propertyNames": {
            "pattern": r"^(topic|device|at|every|delay|stamp|times|payload(\..+)?)$",
        },
    }


def _expectation() -> JsonSchema:
    span = {"type": "array", "minItems": 2, "maxItems": 2, "items": DURATION}
    return {
        **_object(
            {
                "at": DURATION,
                "within": {"anyOf": [DURATION, span]},
                "rule": ID,
                "key": TEXT,
                "event": {"enum": list(EVENTS)},
                "severity": {"enum": list(SEVERITIES)},
                "state": {"enum": list(STATES)},
                "message": TEXT,
                "reason": TEXT,
                "suppressed": TEXT,
                "n": {"type": "integer", "minimum": 0},
                "times": {"type": "integer", "minimum": 0},
                "publish": TEXT,
                "stream": TEXT,
                "payload": ANYTHING,
            }
        ),
        "minProperties": 1,
    }
