"""Waiting for a condition, with a bound; tests never sleep for a length of time."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")
POLL_S = 0.005
WAIT_S_MAX = 15.0
TURNS_WITHOUT_PAUSE = 100


def wait_for(
    condition: Callable[[], Found],
    what: str,
    *,
    seconds: float = WAIT_S_MAX,
    poll_s: float = POLL_S,
) -> Found:
    """Ask until `condition` returns something true, and return that.

    Raises:
        TimeoutError: it did not within `seconds`; the message says what was waited for.
    """
    until_s = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > until_s:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(poll_s)
    return found


async def until(
    condition: Callable[[], Found | Awaitable[Found]], what: str, *, seconds: float = WAIT_S_MAX
) -> Found:
    """Like `wait_for`, inside an event loop: the others run meanwhile, at first without a pause.

    Raises:
        TimeoutError: `condition` gave nothing true within `seconds`.
    """
    until_s = time.monotonic() + seconds
    for turn in itertools.count():
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if time.monotonic() > until_s:
            break
        await asyncio.sleep(0 if turn < TURNS_WITHOUT_PAUSE else POLL_S)
    raise TimeoutError(f"waited {seconds:g} s for {what}")
