from __future__ import annotations

import pytest

from gateway.mqtt import Properties, decode_publish_properties, encode_properties
from gateway.session.expiring import current_properties


def expiring(seconds, **others):
    return encode_properties(Properties(message_expiry_interval_s=seconds, **others))


def test_a_message_without_expiry_is_passed_on_as_it_is():
    kept = encode_properties(Properties(content_type="json"))
    assert current_properties(b"", 0, 10**12) == b""
    assert current_properties(kept, 0, 10**12) is kept


@pytest.mark.spec("MQTT5-3.3.2-6")
@pytest.mark.parametrize(
    ("waited_ms", "left_s"), [(0, 10), (999, 10), (1_000, 9), (9_999, 1), (-5_000, 10)]
)
def test_the_time_that_a_message_has_waited_is_taken_from_its_expiry(waited_ms, left_s):
    found = current_properties(expiring(10, content_type="json"), 50_000, 50_000 + waited_ms)
    assert decode_publish_properties(found) == Properties(
        message_expiry_interval_s=left_s, content_type="json"
    )


@pytest.mark.spec("MQTT5-3.3.2-5")
@pytest.mark.parametrize(("seconds", "waited_ms"), [(10, 10_000), (10, 10**9), (0, 0)])
def test_a_message_that_has_expired_is_none(seconds, waited_ms):
    assert current_properties(expiring(seconds), 50_000, 50_000 + waited_ms) is None


@pytest.mark.spec("MQTT5-4.3.3-7")
def test_what_was_sent_does_not_expire_any_more():
    again = current_properties(expiring(10, content_type="x"), 0, 60_000, is_sent=True)
    assert decode_publish_properties(again) == Properties(
        message_expiry_interval_s=0, content_type="x"
    )
