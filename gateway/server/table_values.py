"""What the values of the server's own tables must be, so that `verify` can see whether they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.devices import (
    DEVICES_TABLE,
    GROUPS_TABLE,
    TWINS_TABLE,
    decode_device,
    decode_group,
    decode_twin,
)
from gateway.server.retaining import DECODER as RETAINED_DECODER
from gateway.server.retaining import TABLE as RETAINED_TABLE
from gateway.server.sessions import TABLE as SESSIONS_TABLE
from gateway.server.share_accounts import SHARES_TABLE, decode_share
from gateway.session import decode_state

VALUE_CHECKS: Mapping[str, Callable[[str, bytes], object]] = {
    SESSIONS_TABLE: decode_state,
    SHARES_TABLE: lambda _, encoded: decode_share(encoded),
    RETAINED_TABLE: lambda _, encoded: RETAINED_DECODER.decode(encoded),
    DEVICES_TABLE: lambda _, encoded: decode_device(encoded),
    GROUPS_TABLE: lambda _, encoded: decode_group(encoded),
    TWINS_TABLE: lambda _, encoded: decode_twin(encoded),
}
"""Of each table what decodes a key and its value, or raises when they aren't what was written."""
