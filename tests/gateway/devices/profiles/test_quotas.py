from __future__ import annotations

import pytest

from gateway.devices.profiles.loader import load_profiles, parse_profile
from gateway.devices.registry import DeviceQuota
from gateway.errors import DocumentInvalid

HEAD = 'version: 1\nprofile: pump\ntopics: ["plant/{device}/telemetry"]\n'


def quota(text):
    return parse_profile(HEAD + text).named("pump").quota


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", DeviceQuota()),
        ("quota: {messages: 10}", DeviceQuota(messages_per_s=10)),
        (
            "quota: {bytes: 2KiB, connections: 3, beyond: refuse}",
            DeviceQuota(bytes_per_s=2_048, connections_max=3, beyond="refuse"),
        ),
    ],
)
def test_a_profile_says_what_its_devices_may_publish(text, expected):
    assert quota(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quota: {messages: -1}", "4:19"),
        ("quota: {connections: 0}", "4:22"),
        ("quota: {beyond: shout}", "4:17: 'shout' is not one of"),
        ("quota: {mesages: 1}", "did you mean 'messages'"),
    ],
)
def test_what_is_no_quota_is_named_with_its_place(text, message):
    with pytest.raises(DocumentInvalid, match=message):
        quota(text)


def test_a_quota_comes_from_the_base_unless_a_profile_has_its_own(tmp_path):
    (tmp_path / "base.yaml").write_text("version: 1\nprofile: base\nquota: {messages: 5}\n")
    (tmp_path / "pump.yaml").write_text(HEAD + "base: base\n")
    assert load_profiles([tmp_path]).named("pump").quota == DeviceQuota(messages_per_s=5)


def test_what_a_quota_does_not_say_the_other_says():
    own, other = DeviceQuota(messages_per_s=0), DeviceQuota(messages_per_s=5, bytes_per_s=7)
    assert own.over(other) == DeviceQuota(messages_per_s=0, bytes_per_s=7)
