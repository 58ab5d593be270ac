from __future__ import annotations

import hashlib

import pytest

from gateway.devices import (
    Device,
    DeviceInvalid,
    Key,
    certificate_name,
    has_key,
    key_of,
    matching_key,
    new_key,
    rotated,
)


def test_a_key_is_known_again_and_not_kept():
    secret = new_key(bytes(range(32)))
    key = key_of(secret, 5)
    assert secret.startswith("pk1.")
    assert key == Key(hashlib.sha256(secret.encode()).digest(), 5)
    assert matching_key([key_of(new_key(bytes(32)), 1), key], secret.encode()) == key
    assert matching_key([key], b"another") is None
    assert matching_key([], secret.encode()) is None


def test_what_is_too_short_is_no_key():
    with pytest.raises(DeviceInvalid, match="at least 22 characters"):
        key_of("secret", 0)


def test_of_two_keys_the_older_makes_room():
    one, two, three = (Key(bytes([number]) * 32) for number in range(3))
    assert rotated((), one) == (one,)
    assert rotated((one,), two) == (one, two)
    assert rotated((one, two), three) == (two, three)
    assert has_key(Device("d", keys=(two, three)), three)
    assert not has_key(Device("d", keys=(two, three)), one)


def test_a_certificate_names_a_device_by_its_subject_or_its_alternative_names():
    certificate = {
        "subject": ((("organizationName", "x"),), (("commonName", "p-7"),)),
        "subjectAltName": (("URI", "urn:device:p-8"), ("DNS", "p-9")),
    }
    assert certificate_name(certificate, "cn") == "p-7"
    assert certificate_name(certificate, "san") == "p-9"
    assert certificate_name({"subjectAltName": (("URI", "urn:device:p-8"),)}, "san") == "p-8"
    assert certificate_name({}, "cn") == certificate_name({}, "san") == ""
