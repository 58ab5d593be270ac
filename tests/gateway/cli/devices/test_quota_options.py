from __future__ import annotations

import pytest

from gateway.cli.devices.quota_options import parts_of, quota_of
from gateway.devices import DeviceInvalid, DeviceQuota

FULL = ["messages=10", "bytes=2KiB", "connections=3", "beyond=drop"]


def test_a_quota_is_written_in_parts():
    quota = quota_of(FULL, DeviceQuota())
    assert quota == DeviceQuota(10, 2_048, 3, "drop")
    assert parts_of(quota) == {"messages": 10, "bytes": 2_048, "connections": 3, "beyond": "drop"}


def test_parts_that_are_not_named_stay_and_empty_ones_go():
    quota = quota_of(["messages=", "connections=1"], DeviceQuota(10, 20))
    assert quota == DeviceQuota(None, 20, 1)
    assert parts_of(DeviceQuota()) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("messages", "write such as messages=10"),
        ("speed=1", "'speed' is not one of messages, bytes"),
        ("messages=-1", "not a number of 0 or more"),
        ("messages=x", "not a number"),
        ("bytes=x", "not a number"),
        ("connections=0", "not a number of 1 or more"),
        ("beyond=shout", "not one of slow, drop, refuse"),
    ],
)
def test_what_is_no_quota_is_refused(text, message):
    with pytest.raises(DeviceInvalid, match=message):
        quota_of([text], DeviceQuota())
