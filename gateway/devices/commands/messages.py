"""What is said about commands."""

from __future__ import annotations

from typing import Final

COMMANDS_STREAM: Final = "commands"
