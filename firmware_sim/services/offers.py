"""What is on offer to a device: the image of one campaign, as the gateway describes it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHUNK_BYTES_MAX = 1 << 20
IMAGE_BYTES_MAX = 1 << 30
DIGEST_HEX = 64
TEXT_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Offer:
    """One image."""

    campaign: str
    version: str
    size: int
    sha256: str
    signature: bytes | None
    chunk: int


def read_offer(message: object) -> Offer | None:
    """Read the payload of `ota/{device}/offer`; None when a device can do nothing with it."""
    if not isinstance(message, Mapping):
        return None
    texts = [message.get(key) for key in ("campaign", "version", "sha256")]
    numbers = [message.get(key) for key in ("size", "chunk")]
    if not all(isinstance(text, str) and 0 < len(text) <= TEXT_CHARACTERS_MAX for text in texts):
        return None
    if not all(type(number) is int and number > 0 for number in numbers):
        return None
    if len(message["sha256"]) != DIGEST_HEX or message["size"] > IMAGE_BYTES_MAX:
        return None
    try:
        signature = _read_signature(message)
    except ValueError:
        return None
    return Offer(
        message["campaign"],
        message["version"],
        message["size"],
        message["sha256"].lower(),
        signature,
        min(message["chunk"], CHUNK_BYTES_MAX),
    )


def _read_signature(message: Mapping[str, Any]) -> bytes | None:
    text = message.get("signature")
    return base64.b64decode(text, validate=True) if isinstance(text, str) else None
