from __future__ import annotations

import pytest

from gateway.config import DEVICE_STREAMS
from gateway.devices import DEVICE_VERBS
from gateway.mqtt import matches


def stream_of(topic):
    for stream in DEVICE_STREAMS:
        if any(matches(topic_filter, topic) for topic_filter in stream.topic_filters):
            return stream.spec.name
    return ""


@pytest.mark.parametrize(
    ("topic", "stream"),
    [
        ("twin/p/reported", "twins"),
        ("twin/p/changed", "twins"),
        ("twin/p/get", "device-questions"),
        ("twin/p/state", "device-questions"),
        ("command/p/request/1", "commands"),
        ("plant/p/twin", ""),
    ],
)
def test_each_topic_has_its_stream(topic, stream):
    assert stream_of(topic) == stream


def test_every_root_of_device_services_has_a_stream_and_each_is_bounded():
    assert all(stream_of(f"{root}/p/x/y") for root in DEVICE_VERBS)
    for stream in DEVICE_STREAMS:
        spec = stream.spec
        assert spec.retention_age_ms is not None or spec.retention_bytes is not None
