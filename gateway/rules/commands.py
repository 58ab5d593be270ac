"""What people do about alarms: acknowledge, shelve, unshelve; as messages that the log keeps."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.documents import parse_duration_ms
from gateway.rules.alarm_topics import CommandTopic
from gateway.rules.values import UNKNOWN, Value

SHELVED_MS: Final = 3_600_000
"""How long a shelf holds, unless its message says so."""
SHELVED_MS_MAX: Final = 31 * 86_400_000
WHO_CHARS_MAX: Final = 64
COMMENT_CHARS_MAX: Final = 256
DEEDS: Final = {"ack": "acknowledged", "shelve": "shelved", "unshelve": "unshelved"}


class Command(NamedTuple):
    """One thing that somebody wants done; with `n`, only if that is the alarm's number."""

    rule: str
    key: str
    verb: str
    reason: str
    for_ms: int = SHELVED_MS
    n: int | None = None


def read_command(topic: CommandTopic, payload: Value, raw: bytes, client: str) -> Command | None:
    """Read what a message says beyond its topic; None if it can't be meant.

    The payload is empty, a mapping with any of `by`, `comment`, `for` and `n`, or plain text: how
    long to shelve, else a comment.
    """
    fields = payload if isinstance(payload, dict) else _plain_fields(topic.verb, payload, raw)
    if fields is None:
        return None
    n, comment = fields.get("n"), fields.get("comment")
    for_ms = SHELVED_MS
    if "for" in fields:
        found = parse_duration_ms(fields["for"]) if isinstance(fields["for"], str) else None
        if found is None or not 0 < found <= SHELVED_MS_MAX:
            return None
        for_ms = found
    if n is not None and type(n) is not int:
        return None
    who = fields.get("by")
    who = who if isinstance(who, str) and who else client
    reason = f"{DEEDS[topic.verb]} by {who[:WHO_CHARS_MAX]}"
    if isinstance(comment, str) and comment:
        reason = f"{reason} ({comment[:COMMENT_CHARS_MAX]})"
    return Command(topic.rule, topic.key, topic.verb, reason, for_ms, n)


def _plain_fields(verb: str, payload: Value, raw: bytes) -> dict[str, Value] | None:
    """The fields that a payload stands for which is no mapping; None if it is no text."""
    try:
        text = payload if isinstance(payload, str) else raw.decode()
    except UnicodeDecodeError:
        return None
    text = text.strip()
    if not text or payload is None:
        return {}
    if payload is not UNKNOWN and not isinstance(payload, str):
        return None
    return {"for": text} if verb == "shelve" else {"comment": text}
