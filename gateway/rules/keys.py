"""The key of an event: which timeline of a rule it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import orjson

from gateway.rules.spec import Expression, Scope
from gateway.rules.values import UNKNOWN, Value

KEY_CHARS_MAX = 1_024
SEPARATOR = "/"
SAFE_IN_PARTS = " !\"#$&'()*+,:;<=>?@[\\]^`{|}"


class KeyPlan:
    """The key expressions of a rule, worked out once."""

    __slots__ = ("evaluates", "is_device")

    def __init__(self, key: Sequence[Expression]) -> None:
        self.evaluates = tuple(expression.evaluate for expression in key)
        self.is_device = len(key) == 1 and key[0].text.strip() == "device"

    def read(self, scope: Scope) -> tuple[Value, str] | None:
        """The key's value and its text; None when a part of it is unknown or no plain value.

        Numbers and texts that look alike are one key. Several parts are joined by a slash, and a
        slash inside a part is escaped, so that different keys have different texts.
        """
        values = [evaluate(scope) for evaluate in self.evaluates]
        texts = [key_text(value) for value in values]
        if any(text is None for text in texts):
            return None
        parts = [text for text in texts if text is not None]
        if len(parts) == 1:
            return values[0], parts[0]
        text = SEPARATOR.join(quote(part, safe=SAFE_IN_PARTS) for part in parts)
        return values, text


def key_text(value: Value) -> str | None:
    """A part of a key as text; None for what can't be one."""
    if value is UNKNOWN or value is None or isinstance(value, (list, dict)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= KEY_CHARS_MAX else None
