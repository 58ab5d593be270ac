"""As much of JSON Schema 2020-12 as our own schemas use: an independent reader of what they say."""

from __future__ import annotations

import re

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
UNDERSTOOD = {
    "$schema", "$id", "title", "type", "properties", "additionalProperties", "required",
    "propertyNames", "items", "anyOf", "enum", "const", "pattern", "minLength", "maxLength",
    "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "minimum", "maximum",
    "exclusiveMinimum",
}  # fmt: skip


def is_valid(schema, value) -> bool:
    """Whether a value is as a schema says; a keyword that is not understood here is an error."""
    assert set(schema) <= UNDERSTOOD, set(schema) - UNDERSTOOD
    return (
        _is_typed(schema, value)
        and ("const" not in schema or value == schema["const"])
        and ("enum" not in schema or value in schema["enum"])
        and ("anyOf" not in schema or any(is_valid(option, value) for option in schema["anyOf"]))
        and _is_text_valid(schema, value)
        and _is_number_valid(schema, value)
        and _is_list_valid(schema, value)
        and _is_object_valid(schema, value)
    )


def _is_typed(schema, value):
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    return not names or any(
        isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
        for name in names
    )


def _is_text_valid(schema, value):
    return not isinstance(value, str) or (
        schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        and re.search(schema.get("pattern", ""), value) is not None
    )


def _is_number_valid(schema, value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return True
    return (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and value > schema.get("exclusiveMinimum", value - 1)
    )  # fmt: skip


def _is_list_valid(schema, value):
    if not isinstance(value, list):
        return True
    is_unique = len({repr(item) for item in value}) == len(value)
    return (
        schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        and (is_unique or not schema.get("uniqueItems"))
        and all(is_valid(schema.get("items", {}), item) for item in value)
    )


def _is_object_valid(schema, value):
    if not isinstance(value, dict):
        return True
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", {})
    return (
        schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value))
        and set(schema.get("required", ())) <= set(value)
        and all(is_valid(schema.get("propertyNames", {}), name) for name in value)
        and all(
            is_valid(properties[name], item)
            if name in properties
            else rest is not False and is_valid(rest, item)
            for name, item in value.items()
        )
    )
