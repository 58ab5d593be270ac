"""Clients that fight over one identifier: noticed, reported once, and slowed down.

Every takeover makes the loser come back and take over in turn, as fast as both can. What is counted
are takeovers of connections that were still there; a client that left and came back fights nobody.
Two hosts that take turns count double, because one host alone may be testing. The caller keeps the
time and does the waiting.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import NamedTuple

from gateway.server.options import FlappingOptions

LOG = logging.getLogger(__name__)
IDENTIFIERS_MAX = 10_000
WEIGHT_OF_ANOTHER_HOST = 2


class Party(NamedTuple):
    """One end of a fight: its host, and the whole address for people."""

    host: str
    address: str


class Contest:
    """The takeovers of one client identifier within the time that is looked at."""

    __slots__ = ("is_told", "loser", "since_ms", "takeovers", "times_ms", "winner")

    def __init__(self, now_ms: int) -> None:
        self.since_ms = now_ms
        self.times_ms: deque[int] = deque()
        self.takeovers = 0
        self.is_told = False
        self.loser = Party("", "")
        self.winner = Party("", "")


class Flapping:
    """Every identifier that was taken over lately, at most `IDENTIFIERS_MAX` of them."""

    def __init__(self, options: FlappingOptions) -> None:
        self._options = options
        # The one whose last takeover is longest ago is first.
        self._contests: dict[str, Contest] = {}
        self.changes = 0

    def __len__(self) -> int:
        return len(self._contests)

    def note(self, client_id: str, loser: Party, winner: Party, now_ms: int) -> None:
        """Count a takeover; the one that is too many is told, and no other until there is calm."""
        contest = self._contests.pop(client_id, None)
        if contest is None or now_ms - contest.times_ms[-1] > self._options.within_ms:
            contest = Contest(now_ms)
        self._contests[client_id] = contest
        if len(self._contests) > IDENTIFIERS_MAX:
            del self._contests[next(iter(self._contests))]
        contest.takeovers += 1
        contest.loser, contest.winner = loser, winner
        weight = WEIGHT_OF_ANOTHER_HOST if loser.host != winner.host else 1
        contest.times_ms.extend([now_ms] * weight)
        most = self._options.takeovers_max
        while len(contest.times_ms) > most + 1 or (
            now_ms - contest.times_ms[0] > self._options.within_ms
        ):
            contest.times_ms.popleft()
        if len(contest.times_ms) > most and not contest.is_told:
            contest.is_told = True
            self.changes += 1
            LOG.warning(
                "'%s' is used by two clients, %s and %s: %d takeovers in %d s; newcomers wait %g s",
                client_id,
                loser.address,
                winner.address,
                contest.takeovers,
                (now_ms - contest.since_ms) // 1_000,
                self._options.delay_ms / 1_000,
            )

    def is_contested(self, client_id: str, now_ms: int) -> bool:
        """Whether a newcomer must wait: from too many takeovers until a time without any."""
        contest = self._contests.get(client_id)
        if contest is None or not contest.is_told:
            return False
        return now_ms - contest.times_ms[-1] <= self._options.within_ms

    def sweep(self, now_ms: int) -> None:
        """Forget identifiers that have been calm for long enough."""
        for client_id, contest in list(self._contests.items()):
            if now_ms - contest.times_ms[-1] <= self._options.within_ms:
                break
            del self._contests[client_id]
            if contest.is_told:
                self.changes += 1
                LOG.info("nobody fights over '%s' any more", client_id)

    def contested(self) -> dict[str, Contest]:
        """Every identifier that is fought over, with its contest."""
        return {name: one for name, one in self._contests.items() if one.is_told}
