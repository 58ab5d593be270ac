"""How long each connection may take for what: CONNECT, the rest of a packet, reading a farewell."""

from __future__ import annotations

from gateway.errors import MqttError
from gateway.mqtt import ReasonCode
from gateway.server.connection import Connection
from gateway.server.options import ServerOptions
from gateway.session import KeepAliveElapsed, Phase

CLOSE_WITHIN_MS = 10_000


class UnansweredPublishes(MqttError):
    """A client of 3.1.1 waits for acknowledgements that never come: it must connect again."""

    def __init__(self) -> None:
        super().__init__(
            "it may connect again and send what the disk refused", ReasonCode.QUOTA_EXCEEDED
        )


class Patience:
    """Ends connections whose time is over; no timer for any of them."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options

    def check(self, connection: Connection, now_ms: int) -> None:
        """Look at one connection; called about once a second."""
        if connection.was_heard or connection.is_held_back:
            connection.was_heard = False
            connection.heard_at_ms = now_ms
        if connection.closing_since_ms is not None:
            if now_ms - connection.closing_since_ms > CLOSE_WITHIN_MS:
                connection.abort()
        elif connection.session.phase is Phase.AWAITING_CONNECT:
            is_late = now_ms - connection.opened_at_ms > self._options.connect_within_ms
            if is_late and not connection.is_waiting:
                connection.abort()
        else:
            self._check_client(connection, now_ms)

    def _check_client(self, connection: Connection, now_ms: int) -> None:
        keep_alive_ms = connection.session.keep_alive_ms
        if keep_alive_ms and now_ms - connection.heard_at_ms > keep_alive_ms:
            connection.perform(KeepAliveElapsed())
        elif self._is_stuck(connection, now_ms):
            connection.abort()
        elif self._waits_in_vain(connection, now_ms):
            connection.fail(UnansweredPublishes())

    def _is_stuck(self, connection: Connection, now_ms: int) -> bool:
        """Whether half a packet has been lying here for too long."""
        if connection.partial_since_ms is None or connection.is_held_back:
            return False
        # A byte a millisecond on top: a large payload on a slow line is no attack.
        allowed_ms = self._options.packet_within_ms + connection.partial_bytes
        return now_ms - connection.partial_since_ms > allowed_ms

    def _waits_in_vain(self, connection: Connection, now_ms: int) -> bool:
        """Whether it is time to send back a client that was refused in silence.

        Not at once: who comes back while the disk is full is held and refused again.
        """
        since_ms = connection.unanswered_since_ms
        return since_ms is not None and now_ms - since_ms > self._options.refuse_after_ms
