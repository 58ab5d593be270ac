"""What a machine asks its shell to do; the only way in which it touches the world."""

from __future__ import annotations

from typing import NamedTuple


class Dial(NamedTuple):
    """Open a connection; the answer is `opened` or `lost`."""


class Send(NamedTuple):
    """Write bytes to the open connection."""

    payload: bytes


class HangUp(NamedTuple):
    """Close the connection: at once, as a broken link does, or after all bytes have left."""

    is_abrupt: bool


Effect = Dial | Send | HangUp
