"""The topics of alarms: `alarms/RULE/KEY` holds how one stands, and takes what people do about it.

`RULE` and `KEY` are one level each: what no level can hold, and `%` itself, is percent-encoded. The
key of a rule with `key: []` is `-`; a key that is a dash is `%2D`.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote

ALARMS_STREAM: Final = "alarms"
"""The stream of those topics."""
PREFIX: Final = "alarms/"
VERBS: Final = ("ack", "shelve", "unshelve")
COMMAND_LEVELS: Final = 4
NO_KEY: Final = "-"
UNSAFE_IN_LEVEL: Final = str.maketrans(
    {
        **{chr(code): f"%{code:02X}" for code in (*range(32), 127)},
        "%": "%25",
        "/": "%2F",
        "+": "%2B",
        "#": "%23",
    }
)


class CommandTopic(NamedTuple):
    """What somebody wants to do, to which alarm."""

    rule: str
    key: str
    verb: str


def alarm_topic(rule: str, key: str) -> str:
    """The topic that holds how an alarm stands."""
    return f"{PREFIX}{encode_level(rule)}/{encode_key(key)}"


def command_topic(asked: CommandTopic) -> str:
    """The topic to which a message asks for something."""
    return f"{alarm_topic(asked.rule, asked.key)}/{asked.verb}"


def encode_key(key: str) -> str:
    """A key as one level of a topic."""
    if not key:
        return NO_KEY
    return "%2D" if key == NO_KEY else encode_level(key)


def decode_key(level: str) -> str:
    """The key that a level of a topic stands for."""
    return "" if level == NO_KEY else unquote(level)


def encode_level(text: str) -> str:
    """Any text as one level of a topic."""
    return text.translate(UNSAFE_IN_LEVEL)


def read_command_topic(topic: str) -> CommandTopic | None:
    """What a message to this topic asks for; None for every topic but `alarms/RULE/KEY/VERB`."""
    if not topic.startswith(PREFIX):
        return None
    levels = topic.split("/")
    if len(levels) != COMMAND_LEVELS or levels[3] not in VERBS or not levels[1] or not levels[2]:
        return None
    return CommandTopic(unquote(levels[1]), decode_key(levels[2]), levels[3])
