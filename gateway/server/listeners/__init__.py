"""Where clients connect: TCP, TLS, WebSocket and the PROXY protocol, each a layer of its own."""

from gateway.server.listeners.listeners import AddressUnavailable, Listeners
from gateway.server.listeners.tls_files import TlsFilesInvalid

__all__ = ["AddressUnavailable", "Listeners", "TlsFilesInvalid"]
