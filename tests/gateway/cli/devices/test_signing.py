from __future__ import annotations

import hashlib
import sys

import pytest

from gateway.cli.devices.signing import check_signature, sign_digest
from gateway.devices import UpdateRefused
from gateway.errors import PenstockError

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DIGEST = hashlib.sha256(b"image").digest()
RAW = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(RAW)
OTHER = generate_private_key(SECP256R1())


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize("private", [RAW, private_pem(KEY)])
@pytest.mark.parametrize("public", [KEY.public_key().public_bytes_raw(), public_pem(KEY)])
def test_a_signature_is_that_of_its_key_and_its_image(private, public):
    signature = sign_digest(private, DIGEST)
    assert len(signature) == 64
    check_signature(public, signature, DIGEST)
    with pytest.raises(UpdateRefused, match="not that of the public key"):
        check_signature(public, signature, hashlib.sha256(b"other").digest())
    with pytest.raises(UpdateRefused, match="not that of the public key"):
        check_signature(public, b"", DIGEST)


def test_what_is_no_such_key_is_said():
    with pytest.raises(UpdateRefused, match="--sign: no ed25519 key"):
        sign_digest(b"nonsense", DIGEST)
    with pytest.raises(UpdateRefused, match="another kind"):
        sign_digest(private_pem(OTHER), DIGEST)
    with pytest.raises(UpdateRefused, match="--public-key: no ed25519 key"):
        check_signature(b"nonsense", b"", DIGEST)
    with pytest.raises(UpdateRefused, match="another kind"):
        check_signature(public_pem(OTHER), b"", DIGEST)


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(PenstockError, match=r"pip install 'penstock\[ota\]'"):
        sign_digest(RAW, DIGEST)
