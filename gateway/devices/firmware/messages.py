"""What devices and the gateway say to each other of updates, and what they ask for."""

from __future__ import annotations

import base64
from typing import Final, NamedTuple

import msgspec
import orjson

from gateway.devices.firmware.campaign import Campaign, UpdateStatus, shown_campaign
from gateway.devices.service_topics import OTA

OTA_STREAM: Final = "ota"
STATUS_BYTES_MAX: Final = 4_096
DIGITS_MAX: Final = 10
CAMPAIGNS_LEVEL: Final = "$campaigns"
"""Stands in a topic where others have a device, which nothing can be called."""

STATUS_DECODER = msgspec.json.Decoder(UpdateStatus)


class ChunkWish(NamedTuple):
    """What a device asks for: bytes of the image on offer."""

    offset: int
    size_bytes: int


def offer_topic(device: str) -> str:
    """Where a device hears of what is on offer; retained."""
    return f"{OTA}/{device}/offer"


def chunk_topic(device: str, offset: int) -> str:
    """Where a device hears the bytes that it has asked for; kept nowhere."""
    return f"{OTA}/{device}/chunk/{offset}"


def error_topic(device: str) -> str:
    """Where a device hears why it gets no bytes; kept nowhere."""
    return f"{OTA}/{device}/error"


def campaign_topic(campaign_id: str) -> str:
    """Where everybody hears how a campaign stands; retained."""
    return f"{OTA}/{CAMPAIGNS_LEVEL}/{campaign_id}"


def offer_payload(campaign: Campaign) -> bytes:
    """What is on offer to a device."""
    image = campaign.image
    signature = base64.b64encode(image.signature).decode() if image.signature else None
    return orjson.dumps(
        {
            "campaign": campaign.id,
            "name": image.name,
            "version": image.version,
            "size": image.size_bytes,
            "sha256": image.sha256,
            "signature": signature,
            "chunk": campaign.chunk_bytes,
        }
    )


def campaign_payload(campaign: Campaign) -> bytes:
    """How a campaign stands."""
    return orjson.dumps(shown_campaign(campaign))


def refusal_payload(why: str, offset: str) -> bytes:
    """Why a device gets no bytes."""
    return orjson.dumps({"error": why, "offset": offset[:DIGITS_MAX]})


def read_status(payload: bytes) -> UpdateStatus | None:
    """What a device says of its update; None for what nobody understands."""
    if len(payload) > STATUS_BYTES_MAX:
        return None
    try:
        return STATUS_DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def read_chunk_wish(rest: str, payload: bytes, campaign: Campaign) -> ChunkWish | str:
    """What a device asks for, or why it can't have that."""
    size_bytes, most = campaign.image.size_bytes, campaign.chunk_bytes
    offset, wanted = _number(rest.encode()), _number(payload)
    if offset is None or offset >= size_bytes:
        return f"offsets are numbers from 0 to {size_bytes - 1}"
    if wanted is None or not 0 < wanted <= most:
        return f"ask for 1 to {most} bytes, as a decimal number"
    return ChunkWish(offset, min(wanted, size_bytes - offset))


def _number(text: bytes) -> int | None:
    text = text.strip()
    return int(text) if text.isdigit() and len(text) <= DIGITS_MAX else None
