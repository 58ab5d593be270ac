"""Reads the `listen:` part of a configuration into the server's listener options."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

from gateway.documents import Section
from gateway.server import (
    ClientCertificates,
    Kind,
    ListenerOptions,
    TlsOptions,
    is_loopback,
    join_address,
)

__all__ = ["UNREACHABLE", "is_loopback", "read_listeners"]

ANY_ORIGIN = "*"
UNREACHABLE = (
    "the gateway listens on 127.0.0.1 or ::1 only, or over TLS with 'client_certificates: "
    "required', until the configuration says 'access: {credentials: required}'"
)


def read_listeners(
    top: Section, base: Path, *, are_credentials_required: bool = False
) -> tuple[ListenerOptions, ...]:
    """Every listener, in file order; paths are relative to `base`.

    Beyond this machine it may listen only where clients must show who they are. Empty when
    the file says nothing of listeners.
    """
    node = top.get("listen")
    if node is not None and node.value == []:
        top.complain("at least one address is needed", "listen")
    sections = top.sections("listen")
    listeners = tuple(_listener(section, base) for section in sections)
    if not are_credentials_required:
        for section, listener in zip(sections, listeners, strict=True):
            _check_reach(section, listener)
    counts = Counter((listener.host, listener.port) for listener in listeners)
    for section, listener in zip(sections, listeners, strict=True):
        if listener.port and counts[listener.host, listener.port] > 1:
            address = join_address(listener.host, listener.port)
            section.complain(f"two listeners can't share {address}", "port")
    return listeners


def _listener(section: Section, base: Path) -> ListenerOptions:
    default = ListenerOptions()
    kind = section.choice("kind", get_args(Kind), default.kind)
    tls = section.section("tls")
    listener = ListenerOptions(
        host=section.text("host", default.host),
        port=section.integer("port", default.port, least=0, most=0xFFFF),
        kind=kind,  # type: ignore[arg-type] # it is one of get_args(Kind)
        path=section.text("path", default.path),
        origins=_origins(section, default.origins),
        tls=None if tls is None else _tls(tls, base),
        proxy_protocol=section.boolean("proxy_protocol", default.proxy_protocol),
    )
    section.finish()
    _check_websocket(section, listener)
    return listener


def _check_reach(section: Section, listener: ListenerOptions) -> None:
    """See that nobody gets in from elsewhere who is not asked who it is."""
    if not is_loopback(listener.host) and not listener.asks_who:
        section.complain(f"'{listener.host}' is not a loopback address; {UNREACHABLE}", "host")


def _origins(section: Section, default: tuple[str, ...]) -> tuple[str, ...]:
    nodes = section.text_nodes("origins")
    for node in nodes:
        if node.source != ANY_ORIGIN and not is_origin(node.source):
            section.complain_at(
                node,
                f'{node.shown} is not an origin; write https://host, https://host:8443, or "*"',
            )
    return tuple(node.source for node in nodes) or default


def is_origin(text: str) -> bool:
    """Whether a browser could send the text as the origin of a page: scheme and host, no path."""
    try:
        url = urlsplit(text)
        return bool(url.hostname) and text.lower() == f"{url.scheme}://{url.netloc}".lower()
    except ValueError:
        return False


def _check_websocket(section: Section, listener: ListenerOptions) -> None:
    if listener.kind != "ws":
        for key in ("path", "origins"):
            if key in section:
                section.complain(f"'{key}' needs 'kind: ws'", key, at_key=True)
    elif not listener.path.startswith("/") or "?" in listener.path:
        section.complain(f"'{listener.path}' is not a path; it begins with / and has no ?", "path")


def _tls(section: Section, base: Path) -> TlsOptions:
    section.require("certificate", "key")
    mode = section.choice("client_certificates", get_args(ClientCertificates), "none")
    options = TlsOptions(
        certificate=base / section.text("certificate"),
        key=base / section.text("key"),
        ca=_path(section, "ca", base),
        client_certificates=mode,  # type: ignore[arg-type] # it is one of get_args(ClientCertificates)
        crl=_path(section, "crl", base),
    )
    section.finish()
    if mode != "none" and options.ca is None:
        section.complain(f"'client_certificates: {mode}' needs 'ca'", "client_certificates")
    if mode == "none":
        for key in ("ca", "crl"):
            if key in section:
                section.complain(
                    f"'{key}' needs 'client_certificates: optional' or 'required'", key, at_key=True
                )
    return options


def _path(section: Section, key: str, base: Path) -> Path | None:
    text = section.text(key)
    return base / text if text else None
