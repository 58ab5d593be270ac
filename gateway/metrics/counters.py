"""What only grows while a gateway runs.

Plain attributes, so that counting is one addition. The hot path counts a batch, never a message.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the start.

    A write to a client is one of `answers_sent`, but each acknowledgement in it counts. Bytes of
    PUBLISH packets are counted whole, as they stand on the wire.
    """

    bytes_received: int = 0
    bytes_sent: int = 0
    publishes_received: int = 0
    publish_bytes_received: int = 0
    publish_bytes_sent: int = 0
    pubacks_received: int = 0
    others_received: int = 0
    answers_sent: int = 0
    deliveries_dropped: int = 0
    connections_opened: int = 0
    clients_accepted: int = 0
    clients_refused: int = 0
    clients_maximum: int = 0
    sessions_expired: int = 0
    takeovers: int = 0
    commits: int = 0
    commit_ms_total: float = 0.0
    throttles: int = 0
    quota_refused: int = 0
    quota_dropped: int = 0

    @property
    def packets_received(self) -> int:
        """Control packets of every kind that clients have sent."""
        return self.publishes_received + self.pubacks_received + self.others_received
