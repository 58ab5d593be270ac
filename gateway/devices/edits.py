"""What a change of the registry or of an enrolment group is, said for people and programs.

An edit is what lies between two encoded entries of a table; what is kept of keys and passwords is
named, and never shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
import orjson

from gateway.events import Flag, Origin, Run

AUDIT_STREAM = "audit"
GATEWAY_CLIENT = "$gateway"
DEVICE_EDIT, GROUP_EDIT = "device", "group"
FLAGS = bytes((Flag.QOS_1,))
# Times and counts change with everything else, and a name is what is changed.
SILENT = frozenset({"id", "generation", "created_ms", "changed_ms"})
SECRETS = frozenset({"password"})


class Edit(NamedTuple):
    """A change of one entry: None stands for no entry."""

    name: str
    before: msgspec.Struct | None
    after: msgspec.Struct | None

    @property
    def verb(self) -> str:
        """What was done to it."""
        if self.before is None:
            return "added"
        return "changed" if self.after is not None else "removed"

    def differences(self) -> dict[str, list[Any]]:
        """Each field that has changed: what it was, and what it is."""
        is_change = self.before is not None and self.after is not None
        before = _shown(self.before, is_whole=is_change)
        after = _shown(self.after, is_whole=is_change)
        names = [name for name in {**before, **after} if name not in SILENT]
        pairs = {name: [before.get(name), after.get(name)] for name in names}
        changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        for name in SECRETS & changed.keys():
            changed[name] = [bool(one) for one in changed[name]]
        return changed


def _shown(entry: msgspec.Struct | None, *, is_whole: bool) -> Mapping[str, Any]:
    """The fields of an entry, all or those that are not at their defaults."""
    if entry is None:
        return {}
    fields = {
        name: value
        for name, default in defaults_of(type(entry)).items()
        if (value := getattr(entry, name)) != default or is_whole
    }
    return {name: _plain(value) for name, value in fields.items()}


@cache
def defaults_of(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    """The fields of a struct with their defaults; found once, for that is slow."""
    return {
        one.name: one.default_factory() if callable(one.default_factory) else one.default
        for one in msgspec.structs.fields(kind)
    }


def _plain(value: Any) -> Any:
    """A value as it may be shown: of a key its name."""
    name = getattr(value, "name", None)
    if isinstance(name, str):
        return name
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return msgspec.to_builtins(value)


def edit_runs(kind: str, edits: Iterable[Edit], by: str, now_ms: int) -> Sequence[Run]:
    """The events of the audit stream that tell of edits, in order; at most one run."""
    origins, payloads = [], []
    for edit in edits:
        event = f"{kind}-{edit.verb}"
        content = {
            "event": event,
            "time": now_ms,
            "name": edit.name,
            "by": by or "unknown",
            "generation": getattr(edit.after, "generation", None),
            "changes": edit.differences(),
        }
        origins.append(Origin(f"{AUDIT_STREAM}/{event}/{edit.name}", edit.name))
        payloads.append(orjson.dumps(content))
    if not payloads:
        return []
    flags = FLAGS * len(payloads)
    return [Run(AUDIT_STREAM, 0, GATEWAY_CLIENT, now_ms, origins, payloads, flags)]
