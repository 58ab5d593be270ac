"""MessagePack payloads as JSON values."""

from __future__ import annotations

from typing import Any, NoReturn

from msgspec import MsgspecError, msgpack

from gateway.devices.decoders.limits import Decode, DecodeLimits, Undecodable
from gateway.devices.decoders.settling import Settling


def messagepack_decoder(limits: DecodeLimits) -> Decode:
    """Decode MessagePack: bytes become hexadecimal text, timestamps milliseconds since 1970."""
    decoder = msgpack.Decoder(ext_hook=_refuse_extension)
    settling = Settling(limits)

    def decode(raw: bytes) -> Any:
        limits.check_size(raw)
        try:
            value = decoder.decode(raw)
        except Undecodable:
            raise
        except RecursionError:
            raise Undecodable("not MessagePack: nested far too deep") from None
        except (MsgspecError, ValueError, TypeError, OverflowError) as error:
            raise Undecodable(f"not MessagePack: {error}") from None
        return settling.settle(value)

    return decode


def _refuse_extension(code: int, content: memoryview) -> NoReturn:
    raise Undecodable(f"extension type {code} of {len(content)} bytes has no meaning here")
