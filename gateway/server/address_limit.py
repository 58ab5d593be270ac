"""How many network connections one host may have at once."""

from __future__ import annotations

# Room above the limit, so that the clients just beyond it are told why.
SPARE_CONNECTIONS = 16


class AddressLimit:
    """Counts connections by host; a limit of 0 is none, and a host that is not known has none."""

    def __init__(self, connections_max: int) -> None:
        self._connections_max = connections_max
        self._counts: dict[str, int] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._counts)

    def enter(self, host: str) -> None:
        """Count a connection."""
        if self._connections_max and host:
            self._counts[host] = self._counts.get(host, 0) + 1

    def leave(self, host: str) -> None:
        """A connection is gone."""
        count = self._counts.pop(host, 0)
        if count > 1:
            self._counts[host] = count - 1

    def is_beyond(self, host: str, *, spare: int = 0) -> bool:
        """Whether a host has more connections than it may, and `spare` on top."""
        return self._counts.get(host, 0) > self._connections_max + spare
