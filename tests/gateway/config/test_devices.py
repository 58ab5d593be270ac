from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.devices import read_devices
from gateway.documents import parse_document

BASE = Path("/etc/penstock")


def read(text):
    top = parse_document(text, "gateway.yaml")
    found = read_devices(top, BASE)
    return found, [str(one) for one in top.complaints]


def test_what_is_not_written_keeps_its_default():
    assert read("version: 1\n") == ({}, [])
    assert read("devices: {}\n") == ({}, [])


def test_templates_and_the_folder_of_profiles_are_read():
    found, complaints = read('devices: {topics: ["{device}/#"], profiles: ../devices}\n')
    assert complaints == []
    assert found == {"device_topics": ("{device}/#",), "profiles_path": BASE / "../devices"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('devices: {topics: ["a/b"]}\n', "1:20: 'a/b' names no device"),
        ('devices: {profiles: ""}\n', "1:21: 'profiles' must be a path"),
        ("devices: {profils: x}\n", "unknown key 'profils', did you mean 'profiles'?"),
    ],
)
def test_a_mistake_is_named_with_its_place(text, complaint):
    assert complaint in read(text)[1][0]
