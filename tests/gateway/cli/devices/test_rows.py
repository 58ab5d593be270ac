from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli.devices.rows import Row, device_of, merged, read_rows, row_of, write_csv
from gateway.devices import Device, DeviceInvalid, DeviceQuota, Key

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=10)
KEYS = st.binary(min_size=32, max_size=32).map(lambda own: Key(own, 5))
DEVICES = st.builds(
    Device,
    st.text("abc-7", min_size=1, max_size=10),
    st.sampled_from(["active", "disabled", "pending"]),
    st.just("device"),
    TEXT,
    st.dictionaries(st.text("abc", min_size=1, max_size=3), TEXT.filter(bool), max_size=3),
    st.lists(st.binary(min_size=32, max_size=32).map(lambda own: Key(own, 5)), max_size=2).map(
        tuple
    ),
    has_certificate=st.booleans(),
)


@given(st.lists(DEVICES, unique_by=lambda one: one.id, max_size=5))
@settings(max_examples=50, deadline=None)
def test_a_registry_goes_out_as_csv_and_comes_back(devices):
    assert [device_of(row, 5) for row in read_rows(write_csv(devices), "f")] == devices


@given(DEVICES)
@settings(max_examples=50, deadline=None)
def test_an_entry_goes_out_as_json_and_comes_back(device):
    assert device_of(Row(1, row_of(device)), 5) == device


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('[{"device": "a"}, {"device": "b"}]', ["a", "b"]),
        ('{"device": "a"}\n\n{"device": "b"}\n', ["a", "b"]),
        ("device,tag:x\na,1\nb,\n", ["a", "b"]),
    ],
)
def test_a_file_is_a_list_or_lines_of_json_or_csv(text, ids):
    assert [device_of(row, 0).id for row in read_rows(text, "f")] == ids


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("a", "a row is an object"),
        ({"device": "a", "x": 1}, "unknown column 'x'; known: certificate"),
        ({"device": ""}, "can't be a device id"),
        ({"device": "a", "status": "x"}, "status 'x' is not one of"),
        ({"device": "a", "certificate": "x"}, "certificate 'x' is not yes or no"),
        ({"device": "a", "tags": "x"}, "tags is an object"),
        ({"device": "a", "key": "short"}, "at least 22 characters"),
        ({"device": "a", "key_sha256": "zz"}, "key_sha256 is not a SHA-256"),
        ({"device": "a", "key2_sha256": "aa"}, "key2_sha256 is not a SHA-256"),
    ],
)
def test_a_row_that_describes_no_device_is_refused(fields, message):
    with pytest.raises(DeviceInvalid, match=message):
        device_of(Row(1, fields), 0)


@pytest.mark.parametrize("text", ['[{"device": ', 'device\n"a'])
def test_a_file_that_cant_be_read_says_so(text):
    with pytest.raises(DeviceInvalid, match="f is neither JSON nor CSV"):
        list(read_rows(text, "f"))


def test_an_update_leaves_credentials_that_it_does_not_name():
    before = Device("a", keys=(Key(bytes(32)),), password="h", has_certificate=True)
    after = merged(before, Device("a", profile="x"))
    assert (after.profile, after.keys, after.password) == ("x", before.keys, "h")
    assert merged(None, Device("a")) == Device("a")


def test_groups_and_quotas_are_rows_there_and_back():
    device = Device(
        "p",
        group="line",
        is_unused=True,
        quota=DeviceQuota(5, 2_048, 3, "refuse"),
    )
    for text in (json.dumps(row_of(device)), write_csv([device])):
        (row,) = read_rows(text, "x")
        assert device_of(row, 0) == device
    (row,) = read_rows("device,quota_messages\np,-1\n", "x")
    with pytest.raises(DeviceInvalid, match="quota messages '-1'"):
        device_of(row, 0)
    (row,) = read_rows("device,unused\np,perhaps\n", "x")
    with pytest.raises(DeviceInvalid, match="unused 'perhaps' is not yes or no"):
        device_of(row, 0)


def test_an_update_keeps_group_and_quota_and_ends_what_a_group_gives_away():
    before = Device("p", group="line", is_unused=True, quota=DeviceQuota(5))
    after = merged(before, Device("p", quota=DeviceQuota(bytes_per_s=7)))
    assert (after.group, after.is_unused, after.quota) == ("line", True, DeviceQuota(5, 7))
    assert not merged(before, Device("p", has_certificate=True)).is_unused
