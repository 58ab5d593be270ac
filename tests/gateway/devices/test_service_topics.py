from __future__ import annotations

import pytest

from gateway.devices.service_topics import (
    ServiceTopic,
    is_for_applications,
    is_service_sealed,
    service_topic,
)


@pytest.mark.parametrize(
    ("topic", "parts"),
    [
        ("twin/pump-7/reported", ServiceTopic("twin", "pump-7", "reported")),
        ("command/pump-7/response/a/b", ServiceTopic("command", "pump-7", "response", "a/b")),
        ("ota/pump-7/get/4096", ServiceTopic("ota", "pump-7", "get", "4096")),
        ("twin/pump-7", None),
        ("twin//reported", None),
        (f"twin/{'x' * 129}/reported", None),
        ("twins/pump-7/reported", None),
        ("plant/pump-7/reported", None),
    ],
)
def test_a_topic_has_parts(topic, parts):
    assert service_topic(topic) == parts


@pytest.mark.parametrize(
    ("topic", "is_sealed", "is_applications"),
    [
        ("twin/pump-7/reported", False, False),
        ("twin/pump-7/get", False, False),
        ("twin/pump-7/set", False, True),
        ("twin/pump-7/desired", True, False),
        ("twin/pump-7/changed", True, False),
        ("twin/pump-7", True, False),
        (f"twin/{'x' * 129}/reported", True, False),
        ("command/pump-7/request/1", True, False),
        ("command/pump-7/response/1", False, False),
        ("command/pump-7/send/1", False, True),
        ("ota/pump-7/offer", True, False),
        ("ota/pump-7/status", False, False),
        ("plant/pump-7/desired", False, False),
    ],
)
def test_who_speaks_where_is_fixed(topic, is_sealed, is_applications):
    assert (is_service_sealed(topic), is_for_applications(topic)) == (is_sealed, is_applications)
