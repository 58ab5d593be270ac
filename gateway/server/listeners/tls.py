"""The TLS layer of one connection: records below, plain bytes above.

The standard library's `ssl` does the cryptography, over memory instead of a socket. The heavy part,
the handshake, runs in the few threads of `Handshakes`; records are small work and stay on the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

from gateway.server.listeners.handshakes import Handshakes, Outcome, Step
from gateway.server.listeners.layer import Buffer, Layer

# The payload of one record [RFC 8446 §5.1].
RECORD_BYTES_MAX = 16 << 10
# A memory buffer of OpenSSL never shrinks, so it is fed in pieces.
FEED_BYTES_MAX = 32 << 10


class TlsLayer(Layer):
    """One connection that speaks TLS; new ones take the context that is current when they begin."""

    def __init__(
        self,
        upper: asyncio.BaseProtocol,
        context_of: Callable[[], ssl.SSLContext],
        handshakes: Handshakes,
    ) -> None:
        super().__init__(upper)
        self._context_of = context_of
        self._handshakes = handshakes
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._tls
        if name == "peercert":
            return self._tls.getpeercert() if self._tls is not None and self.is_ready else default
        return super().get_extra_info(name, default)

    # -- from below

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        if not self.is_ready:
            self._incoming.write(data)
            self._advance()
            return
        view = memoryview(data)
        while view and not self._is_closing:
            self._incoming.write(view[:FEED_BYTES_MAX])
            view = view[FEED_BYTES_MAX:]
            self._take()

    def connection_lost(self, exc: Exception | None) -> None:
        self._handshakes.leave(self)
        super().connection_lost(exc)

    # -- the handshake

    def _advance(self) -> None:
        """Take the next step of the handshake in a thread; nothing is read meanwhile."""
        if self._tls is None:
            if not self._handshakes.enter(self):
                self.abort()
                return
            self._tls = self._context_of().wrap_bio(
                self._incoming, self._outgoing, server_side=True
            )
        self.hold_reading()
        self._handshakes.step(self, self._tls, self._stepped)

    def _stepped(self, outcome: Outcome) -> None:
        """Go on after a step: it is done, it wants more bytes, or it failed."""
        if self._lower.is_closing():
            return
        self._flush()
        if isinstance(outcome, ssl.SSLError):
            # The alert that says why has just been written.
            self._handshakes.note_failure(self, outcome)
            self._is_closing = True
            self._lower.close()
        elif outcome is Step.DONE:
            self._handshakes.leave(self)
            self.is_ready = True
            self.release_reading()
            self._take()
        else:
            self.release_reading()

    # -- records

    def _take(self) -> None:
        """Hand every complete record to the protocol above, in one piece."""
        tls = self._tls
        assert tls is not None  # noqa: S101 - it is ready
        pieces = []
        is_over = False
        try:
            while self._incoming.pending or tls.pending():
                piece = tls.read(RECORD_BYTES_MAX)
                if not piece:
                    is_over = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            is_over = True
        self._flush()
        if pieces:
            self._upper.data_received(b"".join(pieces) if len(pieces) > 1 else pieces[0])
        if is_over:
            self.close()

    def write(self, data: Buffer) -> None:
        tls = self._tls
        if tls is None or not self.is_ready or self._is_closing:
            return
        records = []
        view = memoryview(data)
        try:
            while view:
                view = view[tls.write(view[:RECORD_BYTES_MAX]) :]
                records.append(self._outgoing.read())
        except ssl.SSLError:
            self.abort()
            return
        self._lower.write(b"".join(records))

    def _flush(self) -> None:
        """Write what TLS itself has to say: handshake, alerts, key updates."""
        if self._outgoing.pending:
            self._lower.write(self._outgoing.read())

    def close(self) -> None:
        """Say goodbye and close after what was written."""
        if self.is_ready and not self._is_closing and self._tls is not None:
            # It is said; that the client has not answered yet is the error.
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()
        super().close()
