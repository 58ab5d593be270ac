from __future__ import annotations

import base64

import pytest

from firmware_sim.services.offers import CHUNK_BYTES_MAX, IMAGE_BYTES_MAX, Offer, read_offer

GOOD = {
    "campaign": "c1",
    "version": "1.2.0",
    "size": 10,
    "sha256": "AB" * 32,
    "signature": base64.b64encode(b"signed").decode(),
    "chunk": 4,
}


def test_an_offer_is_read():
    assert read_offer(GOOD) == Offer("c1", "1.2.0", 10, "ab" * 32, b"signed", 4)
    assert read_offer(GOOD | {"signature": None}).signature is None
    assert read_offer(GOOD | {"chunk": 1 << 30}).chunk == CHUNK_BYTES_MAX


@pytest.mark.parametrize(
    "wrong",
    [
        {"campaign": ""},
        {"campaign": 5},
        {"version": "x" * 201},
        {"size": 0},
        {"size": True},
        {"size": IMAGE_BYTES_MAX + 1},
        {"chunk": -1},
        {"sha256": "ab"},
        {"signature": "§"},
        {"signature": "abc"},
    ],
)
def test_an_offer_that_nobody_could_follow_is_none(wrong):
    assert read_offer(GOOD | wrong) is None


@pytest.mark.parametrize("message", [None, [], "offer", {}, {"size": 5}])
def test_what_is_no_offer_is_none(message):
    assert read_offer(message) is None
