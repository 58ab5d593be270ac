"""Firmware images: what is kept of one beside its bytes, which are a blob."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from gateway.errors import PenstockError

IMAGES_TABLE: Final = "ota-images"
IMAGES_MAX: Final = 1_000
IMAGE_BYTES_MAX: Final = 1 << 30
SIGNATURE_BYTES: Final = 64
DIGEST_CHARACTERS: Final = 64
WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class UpdateRefused(PenstockError):
    """An image or a campaign can't be so, or not now; the message says why."""


class Image(msgspec.Struct, frozen=True, omit_defaults=True):
    """One image; `signature` is an ed25519 signature of the 32 bytes of its SHA-256."""

    name: str
    version: str
    sha256: str
    size_bytes: int
    signature: bytes = b""
    added_ms: int = 0
    by: str = ""

    @property
    def id(self) -> str:
        """What it is called."""
        return f"{self.name}@{self.version}"


def check_image(image: Image) -> None:
    """See that an image is one that may be.

    Raises:
        UpdateRefused: it isn't; says what is wrong.
    """
    for what, word in [("name", image.name), ("version", image.version)]:
        check_word(what, word)
    if not DIGEST.fullmatch(image.sha256):
        raise UpdateRefused("sha256 is 64 small hexadecimal digits")
    if not 0 < image.size_bytes <= IMAGE_BYTES_MAX:
        raise UpdateRefused(f"an image has 1 to {IMAGE_BYTES_MAX} bytes, not {image.size_bytes}")
    if image.signature and len(image.signature) != SIGNATURE_BYTES:
        raise UpdateRefused(
            f"an ed25519 signature has {SIGNATURE_BYTES} bytes, not {len(image.signature)}"
        )


def check_word(what: str, word: str) -> None:
    """See that a text can be a name, a version or a campaign.

    Raises:
        UpdateRefused: it can't.
    """
    if not WORD.fullmatch(word):
        raise UpdateRefused(
            f"{what} {word[:70]!r}: use 1 to 64 letters, digits and . _ + -, "
            "and begin with a letter or digit"
        )


def encode_image(image: Image) -> bytes:
    """An image as the table keeps it."""
    return msgspec.msgpack.encode(image)


def decode_image(encoded: bytes) -> Image:
    """Read back what `encode_image` made.

    Raises:
        UpdateRefused: it is something else.
    """
    try:
        return msgspec.msgpack.decode(encoded, type=Image)
    except msgspec.DecodeError as error:
        raise UpdateRefused(f"an entry of the images can't be read: {error}") from error


def image_holder(image_id: str) -> str:
    """How an image is called among those who refer to blobs."""
    return f"ota-image/{image_id}"
