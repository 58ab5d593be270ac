"""Events about who was not let in, or tried what it may not: the stream `audit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson

from gateway.clock import Clock
from gateway.devices import AUDIT_STREAM
from gateway.events import Flag, Origin, Run
from gateway.server.token_bucket import TokenBucket
from gateway.store import DAY_MS, StreamSpec

AUDIT_SPEC = StreamSpec(AUDIT_STREAM, partitions=1, retention_age_ms=90 * DAY_MS)
GATEWAY_CLIENT = "$gateway"
AGAIN_MS = 60_000
KNOWN_MAX = 10_000
NAME_CHARACTERS_MAX = 128
# A client may claim to be called anything; this is a level of a topic.
UNFIT = str.maketrans({"/": "_", "+": "_", "#": "_", "\0": "_"})


class Incident(NamedTuple):
    """What happened: of which kind, by whom as far as it says, from where, and about what."""

    kind: str
    name: str
    host: str
    client_id: str = ""
    about: str = ""
    reason: str = ""


class Audit:
    """Writes incidents into the log: one of a kind, name, host and subject a minute.

    What is left out is counted in the next event of its kind; over all, at most `per_s_max`.
    """

    def __init__(self, submit: Callable[[list[Run]], None], clock: Clock, per_s_max: int) -> None:
        self._submit = submit
        self._clock = clock
        self._bucket = TokenBucket(per_s_max, per_s_max, clock.monotonic_ms())
        self._told_at_ms: dict[tuple[str, ...], int] = {}
        self._left_out: dict[str, int] = {}
        self.incidents = 0

    def note(self, incident: Incident) -> None:
        """Write an incident down, unless the same was written a moment ago."""
        self.incidents += 1
        now_ms = self._clock.monotonic_ms()
        key = (incident.kind, incident.name, incident.host, incident.about)
        told_at_ms = self._told_at_ms.get(key)
        is_new = told_at_ms is None or now_ms - told_at_ms >= AGAIN_MS
        if not is_new or not self._bucket.has(1, now_ms):
            self._left_out[incident.kind] = self._left_out.get(incident.kind, 0) + 1
            return
        self._bucket.spend(1, now_ms)
        self._told_at_ms.pop(key, None)
        self._told_at_ms[key] = now_ms
        if len(self._told_at_ms) > KNOWN_MAX:
            del self._told_at_ms[next(iter(self._told_at_ms))]
        self._submit([self._run(incident)])

    def _run(self, incident: Incident) -> Run:
        now_ms = self._clock.now_ms()
        name = incident.name[:NAME_CHARACTERS_MAX].translate(UNFIT)
        content = {
            "event": incident.kind,
            "time": now_ms,
            "name": incident.name[:NAME_CHARACTERS_MAX],
            "address": incident.host,
            "client_id": incident.client_id,
            "about": incident.about,
            "reason": incident.reason,
            "left_out": self._left_out.pop(incident.kind, 0),
        }
        origin = Origin(f"audit/{incident.kind}/{name or 'unknown'}", name or "unknown")
        payload = orjson.dumps(content)
        flags = bytes((Flag.QOS_1,))
        return Run(AUDIT_STREAM, 0, GATEWAY_CLIENT, now_ms, [origin], [payload], flags)
