"""Asking the running gateway for what only it can do, over the socket of its data directory."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

from gateway.errors import PenstockError
from gateway.store import RemoteDesk


class NoGateway(PenstockError):
    """No gateway runs on a data directory."""


async def ask_gateway(data_dir: Path, name: str, *arguments: Any) -> Any:
    """Ask, and return the answer.

    Raises:
        NoGateway: none runs there.
        StoreError: it refused; the message says why.
    """
    desk = await RemoteDesk.connect(data_dir)
    if desk is None:
        raise NoGateway(f"no gateway runs on {data_dir}; start it with 'penstock serve'")
    try:
        return await desk.ask(name, *arguments)
    finally:
        await desk.close()


def who() -> str:
    """Who gives commands on this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "penstock-devices"
