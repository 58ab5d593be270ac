"""What came of a test case: everything that the rules did, and what should have been otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from gateway.rules.outputs import Output, Publication, SideEvent, Transition
from gateway.rules.reasons import spell_duration
from gateway.rules.trials.cases import Trial


class Failure(NamedTuple):
    """An expectation that was not met, with its place in the file."""

    line: int
    column: int
    message: str


class Happening(NamedTuple):
    """One thing that a rule did, `at_ms` after the start of the case.

    A step in an alarm's life happens at its event time; everything else when it is said.
    """

    about: str
    at_ms: int
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, output: Output, said_ms: int, start_ms: int) -> Happening:
        """An output of the engine, said at `said_ms`."""
        if isinstance(output, Transition):
            fields = {
                "rule": output.rule,
                "key": output.key,
                "event": output.event,
                "severity": output.severity,
                "n": output.n,
                "message": output.message,
                "reason": output.reason,
                "suppressed": output.suppressed,
            }
            return cls("step", output.time_ms - start_ms, fields)
        if isinstance(output, Publication):
            return cls(
                "publication",
                said_ms,
                {"publish": output.topic, "payload": _decoded(output.payload)},
            )
        stream = getattr(output, "stream", "")
        key = output.device if isinstance(output, SideEvent) else getattr(output, "key", "")
        return cls(
            "record",
            said_ms,
            {
                "stream": stream,
                "rule": output.rule,
                "key": key,
                "payload": _decoded(output.payload),
            },
        )

    @property
    def shown(self) -> str:
        """What happened, for people."""
        time = spell_offset(self.at_ms)
        if self.about == "step":
            one = self.fields
            quiet = f" (held back: {one['suppressed']})" if one["suppressed"] else ""
            return (
                f"{time}  {one['event']} {one['rule']} {one['key']} {one['severity']} "
                f'"{one["message"]}"{quiet}'
            )
        name = "publish" if self.about == "publication" else "stream"
        payload = orjson.dumps(self.fields["payload"]).decode()
        return f"{time}  {name} {self.fields[name]} {payload}"


class Outcome(NamedTuple):
    """What came of a case."""

    trial: Trial
    happenings: tuple[Happening, ...]
    failures: tuple[Failure, ...]


def spell_offset(ms: int) -> str:
    """A time after the start of a case, as test files write it; before it, with a minus."""
    return f"-{spell_duration(-ms)}" if ms < 0 else spell_duration(ms)


def _decoded(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload.decode(errors="replace")
