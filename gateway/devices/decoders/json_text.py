"""JSON payloads, with limits that cost next to nothing where they are not near."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.devices.decoders.limits import Decode, DecodeLimits, Undecodable, check_shape


def json_decoder(limits: DecodeLimits) -> Decode:
    """Decode JSON. Only a payload with many brackets or bytes is measured value by value."""
    loads = orjson.loads
    size_bytes_max, depth_max = limits.size_bytes_max, limits.depth_max
    values_max = limits.values_max

    def decode(raw: bytes) -> Any:
        if len(raw) > size_bytes_max:
            limits.check_size(raw)
        try:
            value = loads(raw)
        except orjson.JSONDecodeError as error:
            raise Undecodable(f"not JSON: {error}") from None
        # Each level takes a bracket, and each value a byte.
        if raw.count(b"{") + raw.count(b"[") > depth_max or len(raw) > values_max:
            check_shape(value, limits)
        return value

    return decode
