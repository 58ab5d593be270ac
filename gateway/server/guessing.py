"""Wrong credentials: how many of late from which host, so that guessing is slow and is seen."""

from __future__ import annotations

from dataclasses import dataclass

HOSTS_MAX = 10_000
DOUBLINGS_MAX = 4


@dataclass(slots=True)
class Failures:
    """The wrong credentials of one host since `since_ms`."""

    since_ms: int
    count: int = 0


class Guesses:
    """Counts failures by host; who has had too many waits longer for each next refusal.

    Whoever has the right credentials gets in at once, wherever it comes from: guessing at a
    device's name does not lock the device out.
    """

    def __init__(self, failures_max: int, within_ms: int, delay_ms: int) -> None:
        self._failures_max = failures_max
        self._within_ms = within_ms
        self._delay_ms = delay_ms
        # Whoever began first is first.
        self._by_host: dict[str, Failures] = {}

    def __len__(self) -> int:
        return len(self._by_host)

    def note(self, host: str, now_ms: int) -> Failures:
        """Count one more failure; returns what the host has had."""
        failures = self._by_host.get(host)
        if failures is None or now_ms - failures.since_ms > self._within_ms:
            self._by_host.pop(host, None)
            failures = self._by_host[host] = Failures(now_ms)
            if len(self._by_host) > HOSTS_MAX:
                del self._by_host[next(iter(self._by_host))]
        failures.count += 1
        return failures

    def is_guessing(self, host: str, now_ms: int) -> bool:
        """Whether a host has had more failures than it may."""
        failures = self._by_host.get(host)
        if failures is None or now_ms - failures.since_ms > self._within_ms:
            return False
        return failures.count > self._failures_max

    def delay_ms(self, failures: Failures) -> int:
        """How long the refusal of the last failure waits."""
        beyond = failures.count - self._failures_max
        return 0 if beyond <= 0 else self._delay_ms << min(beyond - 1, DOUBLINGS_MAX)

    def sweep(self, now_ms: int) -> None:
        """Forget whose time is over; called about once a second."""
        for host, failures in list(self._by_host.items()):
            if now_ms - failures.since_ms <= self._within_ms:
                break
            del self._by_host[host]
