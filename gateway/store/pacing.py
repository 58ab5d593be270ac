"""When a commit is worth the flash that it wears, and when somebody waits for it.

Arithmetic on arrivals and commits, in milliseconds that the caller hands in. Who writes commits is
the engine's affair. Why: decisions/0011.

Theory of operation. A commit writes some pages, however little is in it, so at a steady rate of
events the window between commits decides what each event costs. The window ends when it holds
enough to be worth a commit (`worth_bytes`, but not before `wait_ms_min`), when it holds a full
commit (`full_bytes`), or when the first event in it has waited for `wait_ms_max`.

Three things don't wait. Table changes by themselves: the caller sees to that. Events after a
silence: each second of silence saves one immediate commit, up to `burst_commits`. And events of
a client that publishes only once it has been acknowledged: holding back its ack slows it down
and saves nothing. Such a client shows itself by its rhythm: several times in a row its next event
comes within `reply_ms` of the commit of its last one. Before it is trusted, and again from time to
time, one commit is held for `probe_ms`: whoever publishes in that time, unasked, was not waiting.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gateway.events import Run

FOREVER_MS = float("inf")
CLIENTS_MAX = 20_000
SILENCE_MS = 1_000.0
REPLIES_TRUSTED = 6
REPLIES_BETWEEN_PROBES = 32
STRETCH_MAX = 64.0
STRETCHED_WAIT_MS = 50.0
WAIT_MS_MOST = 1_000.0
"""How long a write budget may let anything wait that would have gone sooner."""


@dataclass(frozen=True, slots=True)
class PacingOptions:
    """How long events wait for others to share their commit; all 0: not at all."""

    wait_ms_min: int = 200
    wait_ms_max: int = 3_000
    worth_bytes: int = 28 << 10
    full_bytes: int = 256 << 10
    burst_commits: int = 32
    reply_ms: int = 30
    probe_ms: int = 250

    @classmethod
    def fixed(cls, linger_ms: int, full_bytes: int) -> PacingOptions:
        """The same window for everybody, whatever the rate."""
        return cls(linger_ms, linger_ms, 0, full_bytes, 0, 0, 0)


class Pacing:
    """Decides when the events that wait are committed."""

    def __init__(self, options: PacingOptions, now_ms: float) -> None:
        self._options = options
        self._stretch = 1.0
        self._saved_commits = float(options.burst_commits)
        self._arrived_ms = now_ms
        self._first_ms: float | None = None
        self._waiting_bytes = 0
        self._held_from_ms = FOREVER_MS
        self._is_urgent = False
        self._pending: dict[str, float] = {}
        self._acknowledged_ms: dict[str, float] = {}
        self._replies: dict[str, int] = {}

    @property
    def is_immediate(self) -> bool:
        """Whether nothing ever waits, so that arrivals need not be told."""
        return self._options.wait_ms_max == 0 and self._stretch == 1

    @property
    def stretch(self) -> float:
        """How much longer than usual events wait, to save the flash."""
        return self._stretch

    def widen(self, stretch: float) -> None:
        """Let every window be so many times as long from now on; 1 is usual."""
        self._stretch = min(max(stretch, 1.0), STRETCH_MAX)

    def arrive(self, runs: Iterable[Run], size_bytes: int, now_ms: float) -> bool:
        """Take note of events that wait from now on; whether the commit is due earlier by it."""
        before_ms = self.due_ms()
        silent_ms = now_ms - self._arrived_ms - SILENCE_MS
        if silent_ms > 0 and self._options.burst_commits:
            self._saved_commits = min(
                self._saved_commits + silent_ms / SILENCE_MS, self._options.burst_commits
            )
        self._arrived_ms = now_ms
        if self._first_ms is None:
            self._first_ms = now_ms
        self._waiting_bytes += size_bytes
        if self._options.reply_ms:
            for run in runs:
                self._watch(run.client, now_ms)
        return self.due_ms() < before_ms

    def hurry(self) -> None:
        """Let the next commit be made at once."""
        self._is_urgent = True

    def due_ms(self) -> float:
        """When the events that wait are to be committed; may be past, infinite when none wait."""
        if self._is_urgent:
            return 0.0
        if self._first_ms is None:
            return FOREVER_MS
        options = self._options
        if self._waiting_bytes >= options.full_bytes:
            return 0.0
        if self._stretch == 1 and self._saved_commits >= 1:
            return 0.0
        is_worth_it = self._waiting_bytes >= options.worth_bytes * self._stretch
        wait_ms = float(options.wait_ms_min if is_worth_it else options.wait_ms_max)
        if self._stretch > 1:
            stretched_ms = wait_ms * self._stretch + STRETCHED_WAIT_MS * (self._stretch - 1)
            wait_ms = max(wait_ms, min(stretched_ms, WAIT_MS_MOST))
        # Replies that were to go at once wait a little when the budget for writing is used up.
        held_ms = min(STRETCHED_WAIT_MS * (self._stretch - 1), WAIT_MS_MOST)
        return min(self._first_ms + wait_ms, self._held_from_ms + held_ms)

    def begin(self) -> None:
        """Forget what waited: it is being committed now."""
        if not self._is_urgent:
            self._saved_commits = max(self._saved_commits - 1, 0.0)
        self._first_ms = None
        self._waiting_bytes = 0
        self._held_from_ms = FOREVER_MS
        self._is_urgent = False

    def acknowledge(self, runs: Iterable[Run], now_ms: float) -> None:
        """Take note that these events are committed."""
        if not self._options.reply_ms:
            return
        for run in runs:
            client = run.client
            pending_ms = self._pending.pop(client, now_ms)
            self._acknowledged_ms[client] = now_ms
            replies = self._replies.get(client, 0)
            # A probe that another's haste cut short has shown nothing: it is made again.
            if is_probed(replies) and now_ms - pending_ms < self._options.probe_ms:
                self._replies[client] = replies - 1
        self._forget(now_ms)

    def _watch(self, client: str, now_ms: float) -> None:
        """See whether a client's event answers an acknowledgement."""
        options = self._options
        acknowledged_ms = self._acknowledged_ms.get(client, -FOREVER_MS)
        is_reply = now_ms - acknowledged_ms <= options.reply_ms
        pending_ms = self._pending.get(client)
        if pending_ms is not None:
            if not is_reply and now_ms - pending_ms > options.reply_ms:
                self._replies.pop(client, None)
            return
        self._pending[client] = now_ms
        if not is_reply:
            self._replies.pop(client, None)
            return
        replies = self._replies[client] = self._replies.get(client, 0) + 1
        if replies < REPLIES_TRUSTED:
            return
        is_probe = is_probed(replies)
        self._held_from_ms = min(
            self._held_from_ms, now_ms + options.probe_ms if is_probe else now_ms
        )

    def _forget(self, now_ms: float) -> None:
        """Keep what is known of clients within its bounds; whoever is forgotten begins anew."""
        if len(self._acknowledged_ms) > CLIENTS_MAX:
            since_ms = now_ms - self._options.reply_ms
            self._acknowledged_ms = {
                client: at_ms
                for client, at_ms in self._acknowledged_ms.items()
                if at_ms >= since_ms
            }
        known: Collection[dict[str, float] | dict[str, int]] = (
            self._acknowledged_ms,
            self._replies,
            self._pending,
        )
        for clients in known:
            if len(clients) > CLIENTS_MAX:
                clients.clear()


def is_probed(replies: int) -> bool:
    """Whether the last of so many replies is to be held, to see if the client really waits.

    The first that would be trusted is, and then ever fewer: after 32, 96, 224 … further ones.
    """
    beyond = replies - REPLIES_TRUSTED
    turns, rest = divmod(beyond, REPLIES_BETWEEN_PROBES)
    return beyond >= 0 and rest == 0 and turns & (turns + 1) == 0
