"""ed25519 signatures of firmware, by the library 'cryptography' where it is installed."""

from __future__ import annotations

from typing import Any

from gateway.devices import UpdateRefused
from gateway.errors import PenstockError

RAW_KEY_BYTES = 32


def sign_digest(key: bytes, digest: bytes) -> bytes:
    """Sign the SHA-256 of an image with a private key.

    Raises:
        UpdateRefused: it is no such key.
        PenstockError: the library is missing.
    """
    module, serialization = _library()
    try:
        private = (
            module.Ed25519PrivateKey.from_private_bytes(key)
            if len(key) == RAW_KEY_BYTES
            else serialization.load_pem_private_key(key, password=None)
        )
    except (ValueError, TypeError) as error:
        raise UpdateRefused(f"--sign: no ed25519 key: {error}") from None
    if not isinstance(private, module.Ed25519PrivateKey):
        raise UpdateRefused("--sign: the key is of another kind; make one with 'openssl genpkey'")
    signature: bytes = private.sign(digest)
    return signature


def check_signature(key: bytes, signature: bytes, digest: bytes) -> None:
    """See that a signature is that of a public key.

    Raises:
        UpdateRefused: it isn't, or there is none, or it is no such key.
        PenstockError: the library is missing.
    """
    module, serialization = _library()
    from cryptography.exceptions import InvalidSignature

    try:
        public = (
            module.Ed25519PublicKey.from_public_bytes(key)
            if len(key) == RAW_KEY_BYTES
            else serialization.load_pem_public_key(key)
        )
    except (ValueError, TypeError) as error:
        raise UpdateRefused(f"--public-key: no ed25519 key: {error}") from None
    if not isinstance(public, module.Ed25519PublicKey):
        raise UpdateRefused("--public-key: the key is of another kind; it must be ed25519")
    try:
        public.verify(signature, digest)
    except InvalidSignature:
        raise UpdateRefused("the signature is not that of the public key") from None


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise PenstockError("signatures need a library: pip install 'penstock[ota]'") from error
    return ed25519, serialization
