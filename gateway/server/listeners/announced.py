"""The layer of a listener behind a load balancer: the first bytes say who the client is."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from gateway.server.listeners.addresses import peer_of
from gateway.server.listeners.layer import Layer
from gateway.server.listeners.proxy_protocol import (
    ProxyHeaderInvalid,
    decode_proxy_header,
)

LOG = logging.getLogger(__name__)


class AnnouncedLayer(Layer):
    """Takes the PROXY header off, then steps aside: the rest goes straight to the protocol above.

    From then on `get_extra_info("peername")` is the client that the header announced; before that,
    it is not known.
    """

    def __init__(self, upper: asyncio.BaseProtocol) -> None:
        super().__init__(upper)
        self._begun = b""
        self._client: tuple[str, int] | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername" and (self._client is not None or not self.is_ready):
            return self._client
        return super().get_extra_info(name, default)

    def data_received(self, data: bytes) -> None:
        data = self._begun + data
        try:
            header = decode_proxy_header(data)
        except ProxyHeaderInvalid as error:
            LOG.info("closing %s: %s", peer_of(self._lower), error)
            self.abort()
            return
        if header is None:
            self._begun = data
            return
        self._begun = b""
        self._client = header.client
        self.is_ready = True
        self._lower.set_protocol(self._upper)
        if len(data) > header.end:
            self._upper.data_received(data[header.end :])
