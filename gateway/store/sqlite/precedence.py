"""Who goes first on the event loop: commits, which somebody waits for, before reads of the past."""

from __future__ import annotations

import asyncio

PASS_S_MAX = 0.02


class Precedence:
    """Knows whether a commit is under way, and lets others wait for its end."""

    def __init__(self) -> None:
        self._is_committing = False
        self._passing: set[asyncio.Future[None]] = set()

    def begin(self) -> None:
        """A commit is under way from now on."""
        self._is_committing = True

    def end(self) -> None:
        """It is made, or failed; whoever waits goes on."""
        self._is_committing = False
        passing, self._passing = self._passing, set()
        for passed in passing:
            if not passed.done():
                passed.set_result(None)

    async def let_pass(self) -> None:
        """Return when the commit under way is made, if there is one, but soon in any case.

        Who reads the past in long stretches calls it, so that acknowledgements don't wait for it.
        """
        if not self._is_committing:
            await asyncio.sleep(0)
            return
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._passing.add(passed)
        try:
            await asyncio.wait([passed], timeout=PASS_S_MAX)
        finally:
            self._passing.discard(passed)
