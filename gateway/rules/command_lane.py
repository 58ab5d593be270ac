"""Where messages about alarms are handed in: beside the lanes, as one of those who read a topic."""

from __future__ import annotations

from gateway.rules.alarm_topics import read_command_topic
from gateway.rules.commands import read_command
from gateway.rules.desk import Desk
from gateway.rules.values import Value


class CommandLane:
    """Takes the events whose topics are `alarms/RULE/KEY/VERB`, as a lane takes its own."""

    __slots__ = ("desk",)

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def accept(
        self, payload: Value, raw: bytes, topic: str, _device: str, _arrival_ms: int
    ) -> None:
        """Do what a message asks for; one that can't be meant is counted."""
        asked = read_command_topic(topic)
        if asked is None:
            return
        command = read_command(asked, payload, raw, self.desk.outbox.client)
        if command is None:
            self.desk.refused_commands += 1
        else:
            self.desk.obey(command)
