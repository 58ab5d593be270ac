"""The PROXY protocol's header, versions 1 and 2: who is behind a load balancer. Sans-IO.

Spec: haproxy.org, "The PROXY protocol, versions 1 & 2", §2
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

from gateway.errors import PenstockError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PREFIX_BYTES = 16
# A binary header may announce 64 KiB of extras; load balancers send some hundred bytes.
REST_BYTES_MAX = 4_096
# "The maximum line length the receiver must support, including the CRLF" [§2.1].
LINE_BYTES_MAX = 107
LINE_START = b"PROXY "
VERSION_2 = 2
LOCAL, PROXY = 0, 1
STREAM_OF_INET, STREAM_OF_INET6 = 0x11, 0x21
INET, INET6 = struct.Struct("!4s4sHH"), struct.Struct("!16s16sHH")
PORT_MAX = 0xFFFF


class ProxyHeaderInvalid(PenstockError):
    """A connection does not begin with a PROXY header, although its listener demands one."""


class Header(NamedTuple):
    """A PROXY header: `client` is the announced (address, port), and `end` is where it ends.

    `client` is None when the balancer speaks for itself, or for a client without such an address.
    """

    client: tuple[str, int] | None
    end: int


def decode_proxy_header(data: bytes) -> Header | None:
    """Read the header at the start of `data`; None when `data` stops before the header does.

    Raises:
        ProxyHeaderInvalid: it is none, or a broken one.
    """
    if SIGNATURE.startswith(data[: len(SIGNATURE)]):
        return _decode_binary(data)
    if LINE_START.startswith(data[: len(LINE_START)]):
        return _decode_line(data)
    raise ProxyHeaderInvalid("no PROXY header")


def _decode_binary(data: bytes) -> Header | None:
    if len(data) < PREFIX_BYTES:
        return None
    version_and_command, family, rest_bytes = struct.unpack_from("!BBH", data, len(SIGNATURE))
    command = version_and_command & 0x0F
    if version_and_command >> 4 != VERSION_2 or command not in (LOCAL, PROXY):
        raise ProxyHeaderInvalid(f"unknown PROXY version or command {version_and_command:#04x}")
    if rest_bytes > REST_BYTES_MAX:
        raise ProxyHeaderInvalid(f"PROXY header announces {rest_bytes} bytes")
    end = PREFIX_BYTES + rest_bytes
    if len(data) < end:
        return None
    layout = {STREAM_OF_INET: INET, STREAM_OF_INET6: INET6}.get(family)
    if command == LOCAL or layout is None:
        return Header(None, end)
    if rest_bytes < layout.size:
        raise ProxyHeaderInvalid(f"PROXY header of {rest_bytes} bytes can't hold its addresses")
    source, _, port, _ = layout.unpack_from(data, PREFIX_BYTES)
    return Header((str(ipaddress.ip_address(source)), port), end)


def _decode_line(data: bytes) -> Header | None:
    line, ending, _ = data[:LINE_BYTES_MAX].partition(b"\r\n")
    if not ending:
        if len(data) >= LINE_BYTES_MAX:
            raise ProxyHeaderInvalid("PROXY line without an end")
        return None
    end = len(line) + len(ending)
    words = line.split(b" ")
    if words[1] == b"UNKNOWN":
        return Header(None, end)
    try:
        kind, source, target, *ports = (word.decode("ascii") for word in words[1:])
        address = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}[kind]
        address(target)
        source_port, _ = map(decode_port, ports)
        return Header((str(address(source)), source_port), end)
    except (KeyError, ValueError):
        raise ProxyHeaderInvalid(f"broken PROXY line {line!r}") from None


def decode_port(text: str) -> int:
    """A decimal port without sign, space or leading zero.

    Raises:
        ValueError: it is none.
    """
    port = int(text)
    if str(port) != text or not 0 <= port <= PORT_MAX:
        raise ValueError(text)
    return port
