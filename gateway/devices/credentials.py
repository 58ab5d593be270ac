"""How somebody proves to be a device: keys, and the names in certificates.

Keys have 256 bits by chance, so one round of SHA-256 keeps them safe and costs a microsecond; a
crowd that comes back at once costs next to nothing. Passwords that people choose are another matter
(`gateway.server.passwords`).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from gateway.devices.registry import KEYS_MAX, Device, DeviceInvalid, Key

ENTROPY_BYTES = 32
KEY_PREFIX = "pk1."
KEY_CHARACTERS_LEAST = 22
CertificateName = Literal["cn", "san"]


def new_key(entropy: bytes) -> str:
    """A key made of `ENTROPY_BYTES` random bytes, as it is given to the device."""
    return KEY_PREFIX + encode_bytes(entropy)


def encode_bytes(raw: bytes) -> str:
    """Bytes as text that passes through shells, URLs and topics."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def key_of(secret: str | bytes, now_ms: int) -> Key:
    """What is kept of a key.

    Raises:
        DeviceInvalid: it is too short to be anything but a password.
    """
    secret = secret.encode() if isinstance(secret, str) else secret
    if len(secret) < KEY_CHARACTERS_LEAST:
        raise DeviceInvalid(
            f"a key has at least {KEY_CHARACTERS_LEAST} characters, made by chance; "
            "what people choose is a password"
        )
    return Key(hashlib.sha256(secret).digest(), now_ms)


def rotated(keys: Sequence[Key], key: Key) -> tuple[Key, ...]:
    """The keys of a device when one more is made: the newest of the others stays valid."""
    return (*keys[len(keys) - KEYS_MAX + 1 :], key) if len(keys) >= KEYS_MAX else (*keys, key)


def matching_key(keys: Iterable[Key], secret: bytes) -> Key | None:
    """Which of the keys this is; takes as long whichever it is, or none."""
    digest = hashlib.sha256(secret).digest()
    found = None
    for key in keys:
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found


def certificate_name(certificate: Mapping[str, Any], kind: CertificateName) -> str:
    """The device that a client's certificate names; empty when it names none.

    `certificate` is what the standard library's `getpeercert` returns. With `san`, the first DNS
    name counts, else the last part of the first URI.
    """
    if kind == "cn":
        names = [
            value
            for part in certificate.get("subject", ())
            for name, value in part
            if name == "commonName"
        ]
        return str(names[-1]) if names else ""
    alternatives = certificate.get("subjectAltName", ())
    for wanted in ("DNS", "URI"):
        for name, value in alternatives:
            if name == wanted:
                return str(value) if wanted == "DNS" else str(value).rpartition(":")[2]
    return ""


def has_key(device: Device, key: Key) -> bool:
    """Whether a key is still one of the device's."""
    return any(own.sha256 == key.sha256 for own in device.keys)
