"""Which QoS 2 packets are on their way to the log; a state saved meanwhile must know of them."""

from __future__ import annotations

from collections.abc import Sequence


class Receptions:
    """Packet identifiers by client, oldest first."""

    def __init__(self) -> None:
        self._by_client: dict[str, dict[bytes, None]] = {}

    def of(self, client_id: str) -> list[bytes]:
        """What the client has sent that is not in the log yet."""
        return list(self._by_client.get(client_id, ()))

    def begin(self, client_id: str, packet_ids: Sequence[bytes]) -> None:
        """Note what the client has sent."""
        self._by_client.setdefault(client_id, {}).update(dict.fromkeys(packet_ids))

    def end(self, client_id: str, packet_ids: Sequence[bytes]) -> None:
        """Forget what is in the log, or refused."""
        underway = self._by_client.get(client_id)
        if underway is None:
            return
        for packet_id in packet_ids:
            underway.pop(packet_id, None)
        if not underway:
            del self._by_client[client_id]
