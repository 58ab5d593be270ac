"""Payloads as rules see them: JSON, or unknown."""

from __future__ import annotations

import orjson

from gateway.rules.values import UNKNOWN, Value


def decode_payload(payload: bytes) -> Value:
    """The JSON value of a payload; UNKNOWN when it is no JSON."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return UNKNOWN
