from __future__ import annotations

import pytest

from gateway.config import load_config
from gateway.errors import DocumentInvalid
from gateway.server import FlappingOptions, QuotaOptions


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "gateway.yaml"
        path.write_text(f"version: 1\n{text}")
        return load_config(path).server

    return load


def test_nothing_is_limited_by_default(load):
    assert load("limits: {}\n").quota == QuotaOptions() == QuotaOptions(0, 0)


def test_a_quota_is_read(load):
    options = load(
        "limits: {client_message_rate: 50, client_byte_rate: 64KiB, client_burst: 500ms, "
        "client_beyond: refuse}\n"
    )
    assert options.quota == QuotaOptions(50, 65_536, 500, "refuse")


def test_flapping_is_read(load):
    options = load("limits: {flapping: {takeovers: 5, within: 10s, delay: 2s}}\n")
    assert options.flapping == FlappingOptions(5, 10_000, 2_000)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("limits: {client_message_rate: -1}\n", "client_message_rate"),
        ("limits: {client_beyond: stop}\n", "stop"),
        ("limits: {client_burst: 0s}\n", "client_burst"),
        ("limits: {flapping: 3}\n", "flapping"),
        ("limits: {flapping: {ban: 1m}}\n", "ban"),
        ("sys_interval: 10ms\n", "1s at least"),
        ('streams: [{name: a, filters: ["$SYS/#"]}]\n', "$SYS"),
    ],
)
def test_what_is_wrong_is_told(load, text, says):
    with pytest.raises(DocumentInvalid, match=r"gateway\.yaml") as raised:
        load(text)
    assert says in str(raised.value)


def test_no_sys_topics_are_a_setting(load):
    assert load("sys_interval: 0s\n").sys_interval_ms == 0
