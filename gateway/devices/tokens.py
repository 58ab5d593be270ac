"""Tokens: passwords that a service signs with a group's key, for one device and a limited time.

A token is the text ``group=G&device=D&expires=S&sig=X``: S are seconds since 1970, and X is the
HMAC-SHA256 of all before ``&sig=``, as 64 hexadecimal digits. The key of the HMAC is made of the
group's key (`gateway.devices.enrolment.signing_key`).
"""

from __future__ import annotations

import hmac
import re
from typing import NamedTuple

from gateway.devices.enrolment import EnrolmentGroup, GroupKey

TOKEN_START = b"group="
TOKEN = re.compile(rb"(group=([^&]+)&device=(.+)&expires=([0-9]{1,12}))&sig=([0-9a-f]{64})")
TOKEN_BYTES_MAX = 1_024
MS_PER_S = 1_000


class Token(NamedTuple):
    """A token as it was shown, not yet believed; `signed` is what its signature is of."""

    group: str
    device: str
    expires_ms: int
    signed: bytes
    signature: bytes


def parse_token(password: bytes) -> Token | None:
    """Read a token; None for anything else."""
    if len(password) > TOKEN_BYTES_MAX:
        return None
    found = TOKEN.fullmatch(password)
    if found is None:
        return None
    signed, group, device, expires_s, signature = found.groups()
    try:
        names = group.decode(), device.decode()
    except UnicodeDecodeError:
        return None
    return Token(*names, int(expires_s) * MS_PER_S, signed, signature)


def sign_token(signing: bytes, group: str, device: str, expires_s: int) -> str:
    """Make a token with what a group's key signs with."""
    signed = f"group={group}&device={device}&expires={expires_s}"
    return f"{signed}&sig={hmac.digest(signing, signed.encode(), 'sha256').hex()}"


def signer_of(group: EnrolmentGroup, token: Token) -> GroupKey | None:
    """Which of a group's keys has signed a token; takes as long whichever it is, or none."""
    found = None
    for key in group.keys:
        expected = hmac.digest(key.signing, token.signed, "sha256").hex().encode()
        if key.signing and hmac.compare_digest(expected, token.signature):
            found = key
    return found
