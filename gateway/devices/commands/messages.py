"""What is said about commands: requests, what devices answer, and the events about them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from gateway.devices.commands.command import PENDING_BYTES_MAX, Command
from gateway.devices.service_topics import COMMAND

COMMANDS_STREAM: Final = "commands"
REPLY_ROOT: Final = "reply/"
"""Under which applications may have outcomes sent to topics of their own."""

STATUS_MIN, STATUS_MAX = 100, 599
BAD_ANSWER: Final = 502
SHOWN_CHARACTERS_MAX: Final = 1_024


class Answer(NamedTuple):
    """What a device says came of a command; a status from 400 on is a failure."""

    status: int
    result: Any


def request_topic(command: Command) -> str:
    """Where the device hears of it."""
    return f"{COMMAND}/{command.device}/request/{command.id}"


def response_topic(command: Command) -> str:
    """Where the device answers."""
    return f"{COMMAND}/{command.device}/response/{command.id}"


def event_topic(device: str, command_id: str) -> str:
    """Where everybody hears how it stands."""
    return f"{COMMAND}/{device}/event/{command_id}"


def request_payload(command: Command) -> bytes:
    """What the device is told; after `expires` nobody waits for its answer."""
    return orjson.dumps(
        {
            "name": command.wanted.name,
            "payload": command.wanted.payload,
            "expires": command.sent_ms + command.wanted.timeout_ms,
        }
    )


def read_answer(payload: bytes) -> Answer:
    """What a device has answered; whatever it sends is an answer, if a bad one."""
    shown = payload[:SHOWN_CHARACTERS_MAX].decode(errors="replace")
    if len(payload) > PENDING_BYTES_MAX:
        return Answer(BAD_ANSWER, f"an answer of {len(payload)} bytes: {shown}")
    try:
        found = orjson.loads(payload)
        # What can be read can be nested deeper than what can be written.
        orjson.dumps(found)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return Answer(BAD_ANSWER, f"an answer that is not JSON: {shown}")
    status = found.get("status") if isinstance(found, dict) else None
    if type(status) is not int or not STATUS_MIN <= status <= STATUS_MAX:
        return Answer(BAD_ANSWER, f"an answer without a status from 100 to 599: {shown}")
    return Answer(status, found.get("result"))


def shown_command(command: Command) -> dict[str, Any]:
    """How a command stands, for programs."""
    shown: dict[str, Any] = {
        "id": command.id,
        "device": command.device,
        "name": command.wanted.name,
        "state": command.state,
        "by": command.by,
        "created": command.created_ms,
        "sends": command.sends,
    }
    if command.sent_ms:
        shown["sent"] = command.sent_ms
    if not command.is_pending:
        shown["ended"] = command.ended_ms
    if command.status:
        shown |= {"status": command.status, "result": command.result}
    return shown


def event_payload(command: Command) -> bytes:
    """How a command stands, as an event."""
    return orjson.dumps(shown_command(command))


def rejected_payload(device: str, command_id: str, by: str, error: str) -> bytes:
    """That there is no such command, because it can't be."""
    content = {"id": command_id, "device": device, "state": "rejected", "by": by, "error": error}
    return orjson.dumps(content)
