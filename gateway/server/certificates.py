"""The certificate that a client has shown, as its TLS listener has verified it."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.devices import GroupBook
from gateway.server.identifying import Certificate

if TYPE_CHECKING:
    from gateway.server.connection import Connection


def certificate_of(connection: Connection, groups: GroupBook) -> Certificate | None:
    """What a client has shown, and the group whose authority signed it; None without one."""
    if connection.transport is None:
        return None
    names = connection.transport.get_extra_info("peercert")
    if not isinstance(names, dict) or not names:
        return None
    tls = connection.transport.get_extra_info("ssl_object")
    signs = [hashlib.sha256(der).digest() for der in authorities_of(tls)] if len(groups) else []
    group = groups.of_authorities(signs)
    if group is None:
        return Certificate(names)
    return Certificate(names, group, next(sign for sign in signs if sign in group.authorities))


def authorities_of(tls: ssl.SSLObject | None) -> Sequence[bytes]:
    """The certificates that the client's own was verified by, in DER, the nearest first."""
    if tls is None:
        return []
    if hasattr(tls, "get_verified_chain"):
        return [bytes(one) for one in tls.get_verified_chain()[1:]]
    # Python before 3.13 has it, and does not offer it.
    chain = tls._sslobj.get_verified_chain()  # type: ignore[attr-defined]  # noqa: SLF001 - as above
    return [one.public_bytes(ssl._ssl.ENCODING_DER) for one in chain[1:]]  # type: ignore[attr-defined]  # noqa: SLF001 - as above
