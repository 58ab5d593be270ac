"""Passwords that people choose: argon2id, slow on purpose, so in a thread and few at a time.

The settings are those that OWASP names for servers: 19 MiB, two passes, one lane.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

MEMORY_KIB = 19 << 10
PASSES = 2
LANES = 1
WAITING_MAX = 100
AT_ONCE = 2


@cache
def _hasher() -> Any:
    # Imported here: most gateways know devices with keys alone.
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


def hash_password(password: str) -> str:
    """What is kept of a password; takes some tens of milliseconds."""
    return str(_hasher().hash(password))


def is_password(hashed: str, password: bytes) -> bool:
    """Whether this is the password; takes as long as `hash_password`."""
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return bool(_hasher().verify(hashed, password))
    except (Argon2Error, InvalidHashError):
        return False


class PasswordDesk:
    """Verifies passwords beside the event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        self.waiting = 0

    @property
    def has_room(self) -> bool:
        """Whether one more can be asked about."""
        return self.waiting < WAITING_MAX

    async def verify(self, hashed: str, password: bytes) -> bool:
        """Do as `is_password` when it is its turn."""
        self.waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(is_password, hashed, password)
        finally:
            self.waiting -= 1
