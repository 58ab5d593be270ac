from __future__ import annotations

import pytest

from gateway.devices import (
    Device,
    DeviceInvalid,
    Key,
    Registry,
    check_device,
    decode_device,
    encode_device,
)


def test_an_entry_is_read_back():
    device = Device("p-7", "disabled", "r", "pump", {"site": "n"}, (Key(bytes(32), 5),), "h")
    assert decode_device(encode_device(device)) == device
    with pytest.raises(DeviceInvalid, match="can't be read"):
        decode_device(b"\xc1")


@pytest.mark.parametrize(
    "device_id", ["", "a/b", "+", "a#", "$x", " a", "a\n", "x" * 129, "\ud800"]
)
def test_an_id_is_one_level_of_a_topic(device_id):
    with pytest.raises(DeviceInvalid, match="can't be a device id"):
        check_device(Device(device_id))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tags": {"": "x"}}, "won't do"),
        ({"tags": {"a": "\n"}}, "won't do"),
        ({"profile": "x" * 300}, "won't do"),
        ({"tags": {str(number): "x" for number in range(65)}}, "65 tags; at most 64"),
        ({"keys": (Key(b""),) * 3}, "3 keys; at most 2"),
    ],
)
def test_an_entry_has_limits(fields, message):
    with pytest.raises(DeviceInvalid, match=message):
        check_device(Device("p-7", **fields))


def test_a_registry_says_whether_anybody_has_credentials():
    registry = Registry({"a": encode_device(Device("a"))})
    assert (len(registry), "a" in registry, registry.has_credentials) == (1, True, False)
    registry.put("b", encode_device(Device("b", keys=(Key(bytes(32)),))))
    assert registry.has_credentials
    assert [device.id for device in registry] == ["a", "b"]
    registry.put("b", encode_device(Device("b", has_certificate=True)))
    assert registry.has_credentials
    registry.put("b", encode_device(Device("b")))
    assert not registry.has_credentials
    registry.put("b", None)
    assert registry.get("b") is registry.encoded("b") is None


def test_an_entry_that_cant_be_read_leaves_the_one_before():
    registry = Registry({"a": encode_device(Device("a"))})
    with pytest.raises(DeviceInvalid):
        registry.put("a", b"\xc1")
    assert registry.get("a") == Device("a")
