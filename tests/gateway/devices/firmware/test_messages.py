from __future__ import annotations

import base64

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import (
    Campaign,
    ChunkWish,
    DeviceQuery,
    Image,
    campaign_payload,
    campaign_topic,
    chunk_topic,
    error_topic,
    offer_payload,
    offer_topic,
    read_chunk_wish,
    read_status,
    refusal_payload,
    service_topic,
)

CAMPAIGN = Campaign("c1", Image("pump", "1.2.0", "ab" * 32, 10_000, b"s" * 64), DeviceQuery())


def test_an_offer_says_all_that_a_device_needs():
    assert orjson.loads(offer_payload(CAMPAIGN)) == {
        "campaign": "c1",
        "name": "pump",
        "version": "1.2.0",
        "size": 10_000,
        "sha256": "ab" * 32,
        "signature": base64.b64encode(b"s" * 64).decode(),
        "chunk": 4_096,
    }
    assert orjson.loads(campaign_payload(CAMPAIGN))["state"] == "preparing"


def test_every_topic_is_of_the_service():
    topics = [offer_topic("d"), chunk_topic("d", 7), error_topic("d"), campaign_topic("c1")]
    found = [service_topic(topic) for topic in topics]
    assert [(one.device, one.verb, one.rest) for one in found] == [
        ("d", "offer", ""),
        ("d", "chunk", "7"),
        ("d", "error", ""),
        ("$campaigns", "c1", ""),
    ]


@pytest.mark.parametrize(
    ("rest", "payload", "expected"),
    [
        ("0", b"4096", ChunkWish(0, 4_096)),
        ("9000", b"4096", ChunkWish(9_000, 1_000)),
        ("9999", b" 1\n", ChunkWish(9_999, 1)),
        ("10000", b"1", "offsets are numbers from 0 to 9999"),
        ("-1", b"1", "offsets are numbers from 0 to 9999"),
        ("1" * 11, b"1", "offsets are numbers from 0 to 9999"),
        ("0", b"0", "ask for 1 to 4096 bytes, as a decimal number"),
        ("0", b"4097", "ask for 1 to 4096 bytes, as a decimal number"),
        ("0", b"{}", "ask for 1 to 4096 bytes, as a decimal number"),
    ],
)
def test_only_bytes_of_the_image_can_be_asked_for(rest, payload, expected):
    assert read_chunk_wish(rest, payload, CAMPAIGN) == expected


@settings(max_examples=200, deadline=None)
@given(rest=st.text(max_size=20), payload=st.binary(max_size=20))
def test_whatever_is_asked_for_lies_within_the_image(rest, payload):
    found = read_chunk_wish(rest, payload, CAMPAIGN)
    if isinstance(found, ChunkWish):
        assert 0 <= found.offset < found.offset + found.size_bytes <= 10_000
        assert found.size_bytes <= 4_096
    assert orjson.loads(refusal_payload("why", rest.encode("utf-8", "replace").decode()))


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b'{"campaign": "c", "state": "dancing"}', b"\xff", b" " * 5_000],
)
def test_what_is_no_status_is_none(payload):
    assert read_status(payload) is None


def test_a_status_may_say_little():
    found = read_status(b'{"campaign": "c1", "state": "installed", "more": 1}')
    assert (found.campaign, found.state, found.progress) == ("c1", "installed", None)
