"""The WebSocket layer of one connection: frames below, MQTT's bytes above.

The `websockets` package knows the upgrade and the framing [RFC 6455], without IO; here is what MQTT
asks of them, and what keeps them bounded.

Spec: MQTT5 §6, MQTT311 §6
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from http import HTTPStatus

from websockets.frames import OP_BINARY, OP_CONT, OP_TEXT, CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.clock import Clock
from gateway.server.listeners.layer import Buffer, Layer
from gateway.server.listeners.upgrade import Wanted

SUBPROTOCOL = Subprotocol("mqtt")
REQUEST_BYTES_MAX = 16 << 10
# How long a client has for its half of the closing handshake.
GOODBYE_S = 1.0

# One line for each upgrade and each refusal is too much of a good thing.
FRAMES_LOG = logging.getLogger(f"{__name__}.frames")
FRAMES_LOG.setLevel(logging.WARNING)


class HalfFrames:
    """The connections that hold a part of a frame whose rest has not come, and since when."""

    def __init__(self, clock: Clock, within_ms: int) -> None:
        self._clock = clock
        self._within_ms = within_ms
        self._since_ms: dict[WebSocketLayer, int] = {}

    def __len__(self) -> int:
        return len(self._since_ms)

    def note(self, layer: WebSocketLayer, *, has_progress: bool) -> None:
        """Bytes came; `has_progress` says that a whole frame was among them."""
        if not layer.held_bytes:
            self.forget(layer)
        elif has_progress or layer not in self._since_ms:
            self._since_ms[layer] = self._clock.monotonic_ms()

    def forget(self, layer: WebSocketLayer) -> None:
        self._since_ms.pop(layer, None)

    def sweep(self) -> None:
        """Close whoever has kept us waiting for too long; called about once a second."""
        now_ms = self._clock.monotonic_ms()
        for layer, since_ms in list(self._since_ms.items()):
            if not layer.is_reading():
                self._since_ms[layer] = now_ms
            # A byte a millisecond on top: a large payload on a slow line is no attack.
            elif now_ms - since_ms > self._within_ms + layer.held_bytes:
                layer.abort()


class WebSocketLayer(Layer):
    """One connection that speaks WebSocket with the subprotocol `mqtt`."""

    def __init__(
        self, upper: asyncio.BaseProtocol, wanted: Wanted, half_frames: HalfFrames
    ) -> None:
        super().__init__(upper)
        self._wanted = wanted
        self._half_frames = half_frames
        self._frames = ServerProtocol(
            subprotocols=[SUBPROTOCOL],
            max_size=wanted.message_bytes_max,
            logger=FRAMES_LOG,
        )
        self._request_bytes = 0
        self._is_clogged = False
        self._goodbye: asyncio.TimerHandle | None = None

    @property
    def held_bytes(self) -> int:
        """How much of an incomplete frame is waiting for its rest."""
        return len(self._frames.reader.buffer)

    # -- from below

    def data_received(self, data: bytes) -> None:
        frames = self._frames
        if frames.state is State.CONNECTING:
            self._request_bytes += len(data)
            if self._request_bytes > REQUEST_BYTES_MAX:
                self.abort()
                return
        frames.receive_data(data)
        events = frames.events_received()
        payload = b"".join(self._payloads(events))
        self._half_frames.note(self, has_progress=bool(events))
        if self._is_clogged and frames.state is State.OPEN:
            # Pongs for a client that doesn't read would pile up.
            frames.data_to_send()
        # Packets need not keep to frames [MQTT5-6.0.0-2] [MQTT311-6.0.0-2].
        if payload and not self._is_closing:
            self._upper.data_received(payload)
        self._flush()

    def _payloads(self, events: Iterable[object]) -> Iterator[Buffer]:
        """What the frames carry, up to the first that may not be."""
        for event in events:
            if isinstance(event, Request):
                self._answer(event)
            elif isinstance(event, Frame):
                if event.opcode is OP_TEXT:
                    # Only binary frames carry MQTT [MQTT5-6.0.0-1] [MQTT311-6.0.0-1].
                    self._frames.fail(CloseCode.UNSUPPORTED_DATA, "MQTT is binary")
                    return
                if event.opcode is OP_BINARY or event.opcode is OP_CONT:
                    yield event.data

    def _answer(self, request: Request) -> None:
        """Upgrade to WebSocket, or say why not."""
        frames = self._frames
        if frames.eof_sent:
            return  # Rubbish followed the request at once; the connection ends without an answer.
        refusal = self._wanted.refusal_of(request)
        # Accepted only with "mqtt" among its subprotocols [MQTT5-6.0.0-3] [MQTT311-6.0.0-3], which
        # is then the one that we name [MQTT5-6.0.0-4] [MQTT311-6.0.0-4].
        response = frames.reject(*refusal) if refusal else frames.accept(request)
        frames.send_response(response)
        self.is_ready = response.status_code == HTTPStatus.SWITCHING_PROTOCOLS

    def connection_lost(self, exc: Exception | None) -> None:
        self._half_frames.forget(self)
        if self._goodbye is not None:
            self._goodbye.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self._is_clogged = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self._is_clogged = False
        super().resume_writing()

    # -- from above

    def write(self, data: Buffer) -> None:
        if self._frames.state is State.OPEN and not self._is_closing:
            self._frames.send_binary(bytes(data))
            self._flush()

    def _flush(self) -> None:
        """Write what the framing has to say, and close when it is over."""
        for piece in self._frames.data_to_send():
            if piece == SEND_EOF:
                self._is_closing = True
                self._lower.close()
                return
            self._lower.write(piece)

    def close(self) -> None:
        """Say goodbye; the connection ends when the client has answered, or a second later."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._frames.state is not State.OPEN:
            self._lower.close()
            return
        self._frames.send_close(CloseCode.NORMAL_CLOSURE)
        self._flush()
        self.resume_reading()
        loop = asyncio.get_running_loop()
        self._goodbye = loop.call_later(GOODBYE_S, self._lower.close)
