"""What a WebSocket upgrade must ask for before it is granted.

A web page may open a WebSocket to any address, this machine's own included, so "only loopback" says
nothing about who is behind a browser. The browser tells which page it is; pages of other sites are
refused unless the configuration names them.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.datastructures import MultipleValuesError
from websockets.http11 import Request

from gateway.server.listeners.addresses import is_loopback

ANY_ORIGIN = "*"
# A WebSocket message may exceed the largest packet by this: neighbours, frame headers.
MESSAGE_SLACK_BYTES = 64 << 10

Refusal = tuple[HTTPStatus, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where MQTT is, from which pages, and how large a WebSocket message may be."""

    path: str
    origins: tuple[str, ...]
    message_bytes_max: int

    def refusal_of(self, request: Request) -> Refusal | None:
        """Why the upgrade is refused, with the HTTP status for it; None when it is not."""
        if request.path.partition("?")[0] != self.path:
            return HTTPStatus.NOT_FOUND, f"MQTT over WebSocket is at {self.path}\n"
        try:
            origin, host = request.headers.get("Origin"), request.headers.get("Host", "")
        except MultipleValuesError:
            return HTTPStatus.BAD_REQUEST, "one Origin and one Host, please\n"
        if origin is not None and not self._is_welcome(origin, host):
            return (
                HTTPStatus.FORBIDDEN,
                f"pages of {origin} may not connect; the setting 'origins' can let them\n",
            )
        return None

    def _is_welcome(self, origin: str, host: str) -> bool:
        if ANY_ORIGIN in self.origins or origin in self.origins:
            return True
        page, target = host_of(origin), host_of(f"//{host}")
        if page is None or target is None:
            return False
        return page == target or (is_loopback(page) and is_loopback(target))


def host_of(url: str) -> str | None:
    """The host name of a URL, in small letters; None when there is none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
