"""Hosts and ports, as text."""

from __future__ import annotations

import ipaddress
from typing import Protocol


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def join_address(host: str, port: int) -> str:
    """Host and port as one text; an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Peered(Protocol):
    """What knows who is at the other end: a transport."""

    def get_extra_info(self, name: str) -> object: ...


def peer_of(transport: Peered) -> str:
    """Who is at the other end, for people: the client that a balancer announced, if one did."""
    peer = transport.get_extra_info("peername")
    match peer:
        case (str(host), int(port), *_):
            return join_address(host, port)
    return "an unknown address"


def host_of(transport: Peered) -> str:
    """The host of the other end; empty when that is not known, or not announced yet."""
    match transport.get_extra_info("peername"):
        case (str(host), *_):
            return host
    return ""
