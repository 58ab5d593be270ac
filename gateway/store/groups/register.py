"""What is kept of a group beside its offsets: what kind it is, and where its members sat.

Each group is one entry of the table `groups`, as JSON with a version, so that a program which does
not know a later one refuses it and leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.errors import GroupRefused
from gateway.store.cursors import Key
from gateway.store.protocol import Put

REGISTER_TABLE = "groups"
LEASES_TABLE = "leases"
VERSION = 1
READING, WORKING = "reading", "working"
COMMANDS = {READING: "streams read --group", WORKING: "streams work"}
NAME_BYTES_MAX = 200


@dataclass(slots=True)
class GroupEntry:
    """One group as it is registered."""

    name: str
    kind: str
    streams: Sequence[str]
    former: dict[str, list[Key]] = field(default_factory=dict)

    def put(self) -> Put:
        """The change that keeps it."""
        content = {"version": VERSION, "kind": self.kind, "streams": self.streams}
        if self.former:
            content["former"] = self.former
        return Put(REGISTER_TABLE, self.name, orjson.dumps(content))

    def check_kind(self, kind: str) -> None:
        """See that the group is of the kind that is asked for.

        Raises:
            GroupRefused: it is of the other.
        """
        if self.kind != kind:
            raise GroupRefused(
                f"group {self.name!r} is used by 'penstock {COMMANDS[self.kind]}'; "
                "name another group, or delete it first"
            )


def read_entry(name: str, value: bytes) -> GroupEntry:
    """Read back what `GroupEntry.put` wrote.

    Raises:
        GroupRefused: a newer program wrote it, or nobody can read it.
    """
    try:
        content: dict[str, Any] = orjson.loads(value)
        version = content["version"]
        if version > VERSION:
            raise GroupRefused(
                f"group {name!r} is in use by another version of Penstock (its entry has version "
                f"{version}, this program knows {VERSION}); run that program, or name another group"
            )
        former = {
            member: [(str(stream), int(partition)) for stream, partition in keys]
            for member, keys in content.get("former", {}).items()
        }
        return GroupEntry(name, str(content["kind"]), list(content["streams"]), former)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GroupRefused(
            f"the entry of group {name!r} can't be read ({error!r}); delete the group"
        ) from error


def check_name(name: str) -> None:
    """See that a group or a member may be called that.

    Raises:
        GroupRefused: it may not.
    """
    if not name or not name.isprintable() or len(name.encode()) > NAME_BYTES_MAX:
        raise GroupRefused(
            f"the name {name!r} won't do; use 1 to {NAME_BYTES_MAX} printable characters"
        )


def leases_key(group: str, key: Key) -> str:
    """The entry that keeps what a group has out of one partition."""
    return f"{group}/{key[0]}/{key[1]}"
