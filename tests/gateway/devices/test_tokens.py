from __future__ import annotations

import hashlib
import hmac
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices.credentials import new_key
from gateway.devices.enrolment import EnrolmentGroup, group_key, signing_key
from gateway.devices.tokens import parse_token, sign_token, signer_of

SECRET, OTHER = new_key(bytes(32)), new_key(bytes(range(32)))
KEYS = tuple(group_key(secret, "token", 0) for secret in (OTHER, SECRET))
FLEET = EnrolmentGroup("fleet", "token", "*", keys=KEYS)


def token(device="pump-7", expires_s=1_800_000_000, secret=SECRET):
    return sign_token(signing_key(secret.encode()), "fleet", device, expires_s).encode()


def test_a_token_is_what_it_says():
    found = parse_token(token())
    assert (found.group, found.device, found.expires_ms) == ("fleet", "pump-7", 1_800_000_000_000)
    assert signer_of(FLEET, found) == KEYS[1]


@given(st.text(min_size=1, max_size=30), st.integers(0, 10**12 - 1))
@settings(max_examples=100, deadline=None)
def test_every_id_and_time_comes_back(device, expires_s):
    if "\n" in device:
        return
    found = parse_token(token(device, expires_s))
    assert (found.device, found.expires_ms) == (device, expires_s * 1_000)
    assert signer_of(FLEET, found) is not None


def test_the_signature_is_the_plain_hmac_of_the_text_before_it():
    signing = hmac.new(SECRET.encode(), b"penstock-token", hashlib.sha256).digest()
    text = b"group=fleet&device=pump-7&expires=1800000000"
    expected = hmac.new(signing, text, hashlib.sha256).hexdigest()
    assert token() == text + b"&sig=" + expected.encode()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(token()) - 1), st.integers(0, 255))
def test_whatever_is_changed_in_a_token_it_is_one_no_more(index, byte):
    changed = bytearray(token())
    if changed[index] == byte:
        return
    changed[index] = byte
    found = parse_token(bytes(changed))
    assert found is None or signer_of(FLEET, found) is None


@pytest.mark.parametrize(
    "password",
    [
        b"",
        b"group=",
        b"group=a&device=b&expires=1",
        b"group=a&device=b&expires=x&sig=" + b"0" * 64,
        b"group=a&device=b&expires=1&sig=" + b"0" * 63,
        b"group=\xff&device=b&expires=1&sig=" + b"0" * 64,
        b"group=a&device=" + b"b" * 2_000 + b"&expires=1&sig=" + b"0" * 64,
    ],
)
def test_what_is_no_token_is_none(password):
    assert parse_token(password) is None


def test_a_group_that_signs_nothing_has_signed_nothing():
    claim = EnrolmentGroup("fleet", "claim", "*", keys=(group_key(SECRET, "claim", 0),))
    assert signer_of(claim, parse_token(sign_token(b"", "fleet", "p", 1).encode())) is None


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_a_shell_with_openssl_makes_the_same_token():
    script = """
    hmac() { openssl dgst -sha256 -r "$@" | cut -d' ' -f1; }
    signing=$(printf penstock-token | hmac -hmac "$1")
    token="group=fleet&device=pump-7&expires=1800000000"
    printf %s "$token&sig=$(printf %s "$token" | hmac -mac HMAC -macopt hexkey:$signing)"
    """
    made = subprocess.run(["sh", "-c", script, "sh", SECRET], capture_output=True, check=True)
    assert made.stdout == token()
