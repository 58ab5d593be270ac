"""Conditions on single events, in the language of the rules, for who isn't a rule."""

from __future__ import annotations

from typing import Final

from gateway.rules.expression.checker import Environment
from gateway.rules.expression.compiled import compile_expression
from gateway.rules.payloads import decode_payload
from gateway.rules.values import Kind

FILTER_NAMES: Final[dict[str, Kind]] = {
    "payload": "any",
    "topic": "string",
    "device": "string",
    "arrival": "number",
}


class EventFilter:
    """A condition that holds for an event, or doesn't, or can't be known: then it doesn't hold.

    Raises:
        ExpressionInvalid: the text is no condition; says why, with its column.
    """

    def __init__(self, text: str) -> None:
        environment = Environment(names=FILTER_NAMES, remembering=None)
        expression = compile_expression(text, environment, "bool")
        self._evaluate = expression.evaluate
        self._reads_payload = "payload" in expression.names

    def admits(self, topic: str, device: str, arrival_ms: int, payload: bytes) -> bool:
        """Whether the condition is known to hold."""
        content = decode_payload(payload) if self._reads_payload else None
        scope = {"topic": topic, "device": device, "arrival": arrival_ms, "payload": content}
        return self._evaluate(scope) is True
